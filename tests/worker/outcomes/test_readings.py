"""What each answer with a reading writes, to the instant."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from shared.freshness.plan import Planner
from shared.freshness.policy import Freshness
from shared.freshness.priors import PRIORS
from shared.vocabulary import Platform, Reason, SyncStatus
from tests.worker.outcomes.table import (
    HOUR,
    MINUTE,
    NOW,
    POLICY,
    ROW,
    SECOND,
    SINCE,
    judged,
    retried,
)
from worker.outcomes.readings import judge_reading
from worker.readings import Answer, Reading

COMPLETED = {
    "outcome": "synced",
    "reason": Reason.STALE,
    "next_run_at": NOW + 6 * HOUR,
    "attempts": 0,
    "sync_status": SyncStatus.SYNCED,
    "last_updated_at": NOW,
    "stale_after": NOW + 6 * HOUR,
    "freshness": {"policy": "fixed:6h"},
    "completed": True,
}


@pytest.mark.parametrize("missing_since", [None, NOW - 30 * MINUTE])
def test_reading_replaces_metrics_and_warnings_and_clears_missing_since(
    missing_since: datetime | None,
) -> None:
    row = replace(ROW, missing_since=missing_since)

    assert judged(row, Answer.READ, metrics={"views": 9, "likes": 1}) == {
        **COMPLETED,
        "metrics": {"views": 9, "likes": 1},
    }
    assert judged(row, Answer.READ, metrics={"views": 10}, warnings=("a: b",), missing=("likes",)) == {
        **COMPLETED,
        "outcome": "partial",
        "sync_status": SyncStatus.PARTIAL,
        "metrics": {"views": 10},
        "warnings": ("a: b",),
    }


def test_outcome_keeps_row_and_new_platform_post_id() -> None:
    reading = Reading(7, Answer.READ, {"views": 9}, platform_post_id="7560")

    outcome = judge_reading(ROW, reading, POLICY, NOW)

    assert (outcome.row, outcome.platform_post_id) == (ROW, "7560")


@pytest.mark.parametrize(
    ("before", "after", "warning"),
    [
        ({"b": 2, "a": 2, "c": 2}, {"b": 1, "a": 1, "c": 3}, "a, b fell since the last read"),
        ({"a": 2.5}, {"a": 2.4}, "a fell since the last read"),
        ({"a": 2}, {"a": 2}, None),
        ({"a": 2}, {}, None),
        ({}, {"a": 0}, None),
        ({"a": "12"}, {"a": 0}, None),
        ({"a": True}, {"a": 0}, None),
    ],
)
def test_decreased_counter_is_served_with_warning(
    before: dict[str, Any], after: dict[str, Any], warning: str | None
) -> None:
    outcome = judged(replace(ROW, metrics=before), Answer.READ, metrics=after, warnings=("a: b",))

    assert outcome["metrics"] == after
    assert outcome["warnings"] == ("a: b", *([f"counter_decreased: {warning}"] if warning else []))


NO_ACTIVITY = "no_activity_reported: the platform reports no activity; the last values are kept"


@pytest.mark.parametrize(
    ("before", "served", "warnings"),
    [
        ({"views": 1, "likes": 0}, {"views": 1, "likes": 0}, (NO_ACTIVITY, "a: b")),
        ({"views": 0.5}, {"views": 0.5}, (NO_ACTIVITY, "a: b")),
        ({"views": 0, "likes": 0}, {"views": 0}, ("a: b",)),
        ({"views": True, "likes": "9"}, {"views": 0}, ("a: b",)),
        ({}, {"views": 0}, ("a: b",)),
    ],
)
def test_omitted_post_is_zero_only_if_nothing_was_counted_before(
    before: dict[str, Any], served: dict[str, Any], warnings: tuple[str, ...]
) -> None:
    row = replace(ROW, metrics=before)

    outcome = judged(row, Answer.OMITTED, metrics={"views": 0}, warnings=("a: b",))

    assert outcome == {**COMPLETED, "metrics": served, "warnings": warnings}


@pytest.mark.parametrize(
    ("reading", "detail", "warnings"),
    [
        ({}, "the platform has no numbers for this post", ()),
        ({"detail": "too few viewers", "warnings": ("a: b",)}, "too few viewers", ("a: b",)),
    ],
)
def test_unavailable_numbers_keep_last_metrics_and_next_run(
    reading: dict[str, Any], detail: str, warnings: tuple[str, ...]
) -> None:
    assert judged(ROW, Answer.UNAVAILABLE, **reading) == {
        "outcome": "unavailable",
        "reason": Reason.STALE,
        "next_run_at": NOW + 6 * HOUR,
        "attempts": 0,
        "detail": detail,
        "sync_status": SyncStatus.PARTIAL,
        "warnings": (*warnings, f"insights_unavailable: {detail}"),
        "stale_after": NOW + 6 * HOUR,
        "freshness": {"policy": "fixed:6h"},
    }


def test_warning_of_adapter_replaces_default_sentence() -> None:
    own = "insights_unavailable: the adapter's"

    outcome = judged(ROW, Answer.UNAVAILABLE, detail="ours", warnings=("a: insights_unavailable", own))

    assert outcome["warnings"] == ("a: insights_unavailable", own)


@pytest.mark.parametrize(
    ("detail", "sentence"),
    [("Older than a day.",) * 2, (None, "the platform no longer reports on a post of this age")],
)
def test_closed_window_stops_polling_and_keeps_metrics(detail: str | None, sentence: str) -> None:
    assert judged(ROW, Answer.WINDOW_CLOSED, detail=detail, warnings=("a: b",)) == {
        "outcome": "window_closed",
        "reason": Reason.STOPPED,
        "next_run_at": None,
        "attempts": 0,
        "detail": sentence,
        "sync_status": SyncStatus.PARTIAL,
        "warnings": ("a: b", f"window_closed: {sentence}"),
    }


@pytest.mark.parametrize("detail", [None, "Error 2 for this id."])
def test_unreadable_answer_is_retried(detail: str | None) -> None:
    sentence = detail or "The platform gave no answer for this post."
    row = replace(ROW, missing_since=SINCE)

    assert judged(row, Answer.UNREADABLE, detail=detail) == retried(72 * SECOND, 3, sentence)


@pytest.mark.parametrize(("answer", "measured"), [(Answer.READ, 12.0), (Answer.OMITTED, 9.0)])
def test_values_that_are_kept_are_no_measurement(answer: Answer, measured: float) -> None:
    adaptive = Planner(Freshness(), Platform.INSTAGRAM, PRIORS[Platform.INSTAGRAM])
    row = replace(ROW, metrics={"views": 12}, freshness={"age": 200.0, "value": 9.0, "counted": 0})

    outcome = judge_reading(row, Reading(7, answer, {"views": 12}), replace(POLICY, freshness=adaptive), NOW)

    assert outcome.metrics == {"views": 12}
    assert outcome.freshness is not None
    assert outcome.freshness["value"] == measured
