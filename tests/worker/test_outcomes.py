"""The specification of `worker.outcomes`: what each answer and each error writes, to the instant."""

import random
from dataclasses import MISSING, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.freshness import Freshness
from shared.vocabulary import BucketKind, Reason, SyncStatus
from worker import outcomes
from worker.claims import StartedRow
from worker.errors import Misconfigured, Paused, RefreshError, TryAgain
from worker.outcomes import Outcome, Policy
from worker.readings import Answer, Publication, Reading

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))
POLICY = Policy(Freshness(6 * HOUR), first_retry=15 * SECOND, missing_confirm=HOUR, quarantine_starts=5)
KEPT = ("metric_unavailable: likes", "permission_missing: shares")
OURS = "platform_unavailable: the platform refuses our application; operators are told"
ROW = StartedRow(
    publication=Publication(7, "1790", None, "IMAGE", NOW - 10 * DAY),
    fence=4,
    attempts=3,
    unfinished=1,
    missing_since=None,
    sync_status=SyncStatus.SYNCED,
    metrics={"views": 9, "likes": 0},
    warnings=KEPT,
    last_updated_at=NOW - 7 * HOUR,
    snapshot_at=NOW - DAY,
)
"""A row that was read before, has warnings, and is started for the third time in a row."""


@pytest.fixture(autouse=True)
def bounds(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """Make every jitter its upper bound; return the bounds that were asked for."""
    asked: list[tuple[float, float]] = []

    def upper(low: float, high: float) -> float:
        asked.append((low, high))
        return high

    monkeypatch.setattr(random, "uniform", upper)
    return asked


def written(outcome: Outcome) -> dict[str, Any]:
    """Return what an outcome writes: every field that is not its default, and the row's four always."""
    always = {"outcome", "reason", "next_run_at", "attempts"}
    values = {one.name: (getattr(outcome, one.name), one.default) for one in fields(outcome)}
    return {
        name: value
        for name, (value, default) in values.items()
        if name != "row" and (name in always or default is MISSING or value != default)
    }


def judged(row: StartedRow, answer: Answer, **reading: Any) -> dict[str, Any]:
    return written(outcomes.judge(row, Reading(7, answer, **reading), POLICY, NOW))


def judged_error(row: StartedRow, error: RefreshError) -> dict[str, Any]:
    return written(outcomes.judge_error(row, error, POLICY, NOW))


COMPLETED = {
    "outcome": "synced",
    "reason": Reason.STALE,
    "next_run_at": NOW + 6 * HOUR,
    "attempts": 0,
    "sync_status": SyncStatus.SYNCED,
    "last_updated_at": NOW,
    "stale_after": NOW + 6 * HOUR,
    "completed": True,
}


@pytest.mark.parametrize("missing_since", [None, NOW - 30 * MINUTE])
def test_a_reading_replaces_numbers_and_warnings_and_clears_the_suspicion(
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


def test_an_outcome_keeps_the_row_and_the_id_that_the_reading_learned() -> None:
    reading = Reading(7, Answer.READ, {"views": 9}, platform_post_id="7560")

    outcome = outcomes.judge(ROW, reading, POLICY, NOW)

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
def test_a_counter_that_fell_is_served_with_a_warning_beside_the_others(
    before: dict[str, Any], after: dict[str, Any], warning: str | None
) -> None:
    found = judged(replace(ROW, metrics=before), Answer.READ, metrics=after, warnings=("a: b",))

    assert found["metrics"] == after
    assert found["warnings"] == ("a: b", *([f"counter_decreased: {warning}"] if warning else []))


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
def test_a_post_left_out_is_zero_only_where_nothing_was_ever_counted(
    before: dict[str, Any], served: dict[str, Any], warnings: tuple[str, ...]
) -> None:
    row = replace(ROW, metrics=before)

    found = judged(row, Answer.OMITTED, metrics={"views": 0}, warnings=("a: b",))

    assert found == {**COMPLETED, "metrics": served, "warnings": warnings}


@pytest.mark.parametrize(
    ("reading", "detail", "warnings"),
    [
        ({}, "the platform has no numbers for this post", ()),
        ({"detail": "too few viewers", "warnings": ("a: b",)}, "too few viewers", ("a: b",)),
    ],
)
def test_no_numbers_keep_the_last_ones_and_are_asked_for_again(
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
    }


def test_an_adapter_s_own_wording_of_a_warning_wins() -> None:
    own = "insights_unavailable: the adapter's"

    found = judged(ROW, Answer.UNAVAILABLE, detail="ours", warnings=("a: insights_unavailable", own))

    assert found["warnings"] == ("a: insights_unavailable", own)


@pytest.mark.parametrize(
    ("detail", "sentence"),
    [("Older than a day.",) * 2, (None, "the platform no longer reports on a post of this age")],
)
def test_a_closed_window_ends_polling_and_keeps_the_numbers(detail: str | None, sentence: str) -> None:
    assert judged(ROW, Answer.WINDOW_CLOSED, detail=detail, warnings=("a: b",)) == {
        "outcome": "window_closed",
        "reason": Reason.STOPPED,
        "next_run_at": None,
        "attempts": 0,
        "detail": sentence,
        "sync_status": SyncStatus.PARTIAL,
        "warnings": ("a: b", f"window_closed: {sentence}"),
    }


MISSING_ONCE = "post_missing: the platform did not find this post; a second look will confirm or clear that"


@pytest.mark.parametrize(
    ("since", "warnings", "kept"),
    [
        (None, (*KEPT, OURS), (*KEPT, MISSING_ONCE)),
        (NOW - HOUR + SECOND, (*KEPT, MISSING_ONCE), (*KEPT, MISSING_ONCE)),
        (NOW - MINUTE, ("post_missing: an older wording",), ("post_missing: an older wording",)),
    ],
)
def test_a_post_missing_once_is_looked_for_again_when_the_time_to_confirm_is_over(
    since: datetime | None, warnings: tuple[str, ...], kept: tuple[str, ...]
) -> None:
    found = judged(replace(ROW, missing_since=since, warnings=warnings), Answer.MISSING, detail="Not found.")

    assert found == {
        "outcome": "missing",
        "reason": Reason.UNCONFIRMED,
        "next_run_at": (since or NOW) + HOUR,
        "attempts": 0,
        "missing_since": since or NOW,
        "detail": "Not found.",
        "warnings": kept,
    }


@pytest.mark.parametrize("since", [NOW - HOUR, NOW - 3 * DAY])
def test_a_post_missing_twice_is_gone(since: datetime) -> None:
    row = replace(ROW, missing_since=since, warnings=(*KEPT, MISSING_ONCE, OURS))

    assert judged(row, Answer.MISSING, detail="Not found.") == {
        "outcome": "gone",
        "reason": Reason.STOPPED,
        "next_run_at": None,
        "attempts": 0,
        "missing_since": since,
        "detail": "Not found.",
        "sync_status": SyncStatus.FAILED,
        "error_message": "The platform no longer has this post for this account:"
        " deleted, private or not its own.",
        "warnings": KEPT,
    }


def test_one_look_is_never_enough_whatever_the_time_to_confirm() -> None:
    policy = replace(POLICY, missing_confirm=timedelta())

    outcome = outcomes.judge(ROW, Reading(7, Answer.MISSING), policy, NOW)

    assert (outcome.outcome, outcome.next_run_at) == ("missing", NOW)


@pytest.mark.parametrize(
    ("attempts", "since", "wait"),
    [(1, None, HOUR), (5, NOW - 3 * DAY, 1.2 * HOUR), (6, NOW - MINUTE, 2.4 * HOUR)],
)
def test_a_doubtful_miss_confirms_nothing_and_is_asked_again_slower_each_time(
    attempts: int, since: datetime | None, wait: timedelta
) -> None:
    row = replace(ROW, attempts=attempts, missing_since=since, warnings=(*KEPT, OURS))

    assert judged(row, Answer.MISSING, detail="Not found.", doubtful=True) == {
        "outcome": "missing",
        "reason": Reason.UNCONFIRMED,
        "next_run_at": NOW + wait,
        "attempts": attempts,
        **({"missing_since": since} if since else {}),
        "detail": "Not found.",
        "warnings": (
            *KEPT,
            "post_missing: the platform did not find this post, but may be wrong now; it will be asked again",
        ),
    }


@pytest.mark.parametrize(
    ("age", "wait"),
    [
        (-DAY, 15 * SECOND),
        (MINUTE, 15 * SECOND),
        (10 * MINUTE, MINUTE),
        (2 * DAY, 4.8 * HOUR),
        (10 * DAY, 6 * HOUR),
        (30 * DAY, 6 * HOUR),
        (30 * DAY + SECOND, None),
    ],
)
def test_a_post_in_processing_is_looked_at_again_after_a_tenth_of_its_age(
    age: timedelta, wait: timedelta | None
) -> None:
    row = replace(ROW, publication=replace(ROW.publication, created_at=NOW - age), warnings=(*KEPT, OURS))
    sentence = "the platform has not published the post under a public id yet"

    assert judged(row, Answer.PROCESSING) == {
        "outcome": "processing",
        "reason": Reason.PROCESSING if wait else Reason.STOPPED,
        "next_run_at": NOW + wait if wait else None,
        "attempts": 0,
        "detail": sentence,
        "warnings": (*KEPT, f"post_processing: {sentence}"),
    }
    assert judged(row, Answer.PROCESSING, detail="It is checked.")["detail"] == "It is checked."


SINCE = NOW - 20 * MINUTE


def retried(wait: timedelta, attempts: int, sentence: str) -> dict[str, Any]:
    failed = attempts >= 5
    found: dict[str, Any] = {
        "outcome": "failed" if failed else "retry",
        "reason": Reason.RETRY,
        "next_run_at": NOW + wait,
        "attempts": attempts,
        "missing_since": SINCE,
        "detail": sentence,
        "warnings": KEPT,
    }
    if failed:
        found["sync_status"] = SyncStatus.FAILED
        found["error_message"] = f"{attempts} attempts in a row did not succeed; the last: {sentence}"
    return found


WAITS = {
    1: 15 * SECOND,
    2: 30 * SECOND,
    3: MINUTE,
    4: 2 * MINUTE,
    5: HOUR,
    6: 2 * HOUR,
    7: 4 * HOUR,
    8: 6 * HOUR,
    11: 6 * HOUR,
    30_000: 6 * HOUR,
}
"""The wait after so many attempts in a row, before its jitter of a fifth."""


@pytest.mark.parametrize("attempts", WAITS)
def test_a_passing_trouble_backs_off_and_fails_the_row_at_the_fifth_attempt(
    attempts: int, bounds: list[tuple[float, float]]
) -> None:
    row = replace(ROW, attempts=attempts, missing_since=SINCE)

    assert judged_error(row, TryAgain("Down.")) == retried(WAITS[attempts] * 1.2, attempts, "Down.")
    assert bounds == [(0.8, 1.2)]


@pytest.mark.parametrize(
    ("attempts", "after", "wait"),
    [
        (1, 10 * SECOND, 18 * SECOND),
        (1, 5 * SECOND, 10 * SECOND),
        (2, MINUTE, MINUTE),
        (4, MINUTE, 2 * MINUTE),
        (4, timedelta(), timedelta()),
        (5, MINUTE, 1.2 * HOUR),
    ],
)
def test_a_wait_that_the_platform_asks_for_is_kept_and_at_most_doubled(
    attempts: int, after: timedelta, wait: timedelta
) -> None:
    row = replace(ROW, attempts=attempts, missing_since=SINCE)

    assert judged_error(row, TryAgain("Down.", after=after)) == retried(wait, attempts, "Down.")


@pytest.mark.parametrize("detail", [None, "Error 2 for this id."])
def test_an_answer_that_cannot_be_read_is_a_passing_trouble(detail: str | None) -> None:
    sentence = detail or "The platform gave no answer for this post."
    row = replace(ROW, missing_since=SINCE)

    assert judged(row, Answer.UNREADABLE, detail=detail) == retried(72 * SECOND, 3, sentence)


def test_a_first_wait_longer_than_the_longest_is_kept() -> None:
    policy = replace(POLICY, first_retry=8 * HOUR)

    outcome = outcomes.judge_error(replace(ROW, attempts=5), TryAgain("Down."), policy, NOW)

    assert outcome.next_run_at == NOW + 1.2 * 8 * HOUR


@pytest.mark.parametrize(
    ("attempts", "wait"), [(0, 15 * SECOND), (1, 15 * SECOND), (5, HOUR), (10**6, 6 * HOUR)]
)
def test_back_off_is_bounded(attempts: int, wait: timedelta) -> None:
    assert outcomes.backoff(attempts, 15 * SECOND) == 1.2 * wait


def test_a_failed_row_s_pace_slows_down_six_times_at_most() -> None:
    paces = [outcomes.backoff(attempts, SECOND) for attempts in (10, 11, 12)]

    assert paces == [1.2 * pace * SECOND for pace in (240 * 32, 240 * 64, 240 * 64)]


@pytest.mark.parametrize(
    ("left", "spread"),
    [(10 * SECOND, 1.5), (timedelta(), 0.5), (4 * MINUTE, 24.5), (HOUR, 30.0), (300 * DAY, 30.0)],
)
def test_a_limit_costs_no_attempt_and_ends_a_little_after_its_relief(
    left: timedelta, spread: float, bounds: list[tuple[float, float]]
) -> None:
    row = replace(ROW, missing_since=SINCE)
    error = Paused("Limit.", kind=BucketKind.APP, until=NOW + left)

    assert judged_error(row, error) == {
        "outcome": "paused",
        "reason": Reason.PAUSED,
        "next_run_at": NOW + left + timedelta(seconds=spread),
        "attempts": 2,
        "missing_since": SINCE,
        "detail": "Limit.",
        "warnings": KEPT,
    }
    assert bounds == [(0, spread)]
    assert judged_error(row, error) == written(outcomes.paused(row, NOW + left, "Limit.", NOW))


def test_our_own_misconfiguration_costs_no_attempt_and_is_warned_of_once() -> None:
    row = replace(ROW, missing_since=SINCE)
    expected = {
        "outcome": "misconfigured",
        "reason": Reason.RETRY,
        "next_run_at": NOW + 2.4 * MINUTE,
        "attempts": 2,
        "missing_since": SINCE,
        "detail": "Wrong version.",
        "warnings": (*KEPT, OURS),
    }

    assert judged_error(row, Misconfigured("Wrong version.")) == expected
    again = replace(row, warnings=(*KEPT, OURS))
    assert judged_error(again, Misconfigured("Wrong version.")) == expected


def test_a_blocked_account_s_row_is_not_polled_and_keeps_its_warnings() -> None:
    assert written(outcomes.blocked(replace(ROW, missing_since=SINCE), "Reconnect.")) == {
        "outcome": "requires_reconnect",
        "reason": Reason.BLOCKED,
        "next_run_at": None,
        "attempts": 0,
        "missing_since": SINCE,
        "detail": "Reconnect.",
        "sync_status": SyncStatus.REQUIRES_RECONNECT,
        "error_message": "Reconnect.",
        "warnings": KEPT,
    }


def test_a_quarantined_row_says_how_often_it_was_started() -> None:
    sentence = "Set aside: its refresh was started 5 times and never finished."

    assert written(outcomes.quarantined(replace(ROW, unfinished=6, missing_since=SINCE))) == {
        "outcome": "quarantined",
        "reason": Reason.QUARANTINED,
        "next_run_at": None,
        "attempts": 3,
        "missing_since": SINCE,
        "detail": sentence,
        "sync_status": SyncStatus.FAILED,
        "error_message": sentence,
        "warnings": KEPT,
    }
