"""What a miss, a confirmed miss and a post without a public id write, to the instant."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.vocabulary import Reason, SyncStatus
from tests.worker.outcomes.table import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    OURS,
    POLICY,
    ROW,
    SECOND,
    WARNINGS,
    judged,
)
from worker.outcomes.readings import judge_reading
from worker.readings import Answer, Reading

MISSING_ONCE = (
    "post_missing: the platform did not find this post; a second request will confirm or clear that"
)


@pytest.mark.parametrize(
    ("since", "warnings", "warnings_after"),
    [
        (None, (*WARNINGS, OURS), (*WARNINGS, MISSING_ONCE)),
        (NOW - HOUR + SECOND, (*WARNINGS, MISSING_ONCE), (*WARNINGS, MISSING_ONCE)),
        (NOW - MINUTE, ("post_missing: an older wording",), ("post_missing: an older wording",)),
    ],
)
def test_first_miss_is_repeated_after_missing_confirm(
    since: datetime | None, warnings: tuple[str, ...], warnings_after: tuple[str, ...]
) -> None:
    outcome = judged(
        replace(ROW, missing_since=since, warnings=warnings), Answer.MISSING, detail="Not found."
    )

    assert outcome == {
        "outcome": "missing",
        "reason": Reason.UNCONFIRMED,
        "next_run_at": (since or NOW) + HOUR,
        "attempts": 0,
        "missing_since": since or NOW,
        "detail": "Not found.",
        "warnings": warnings_after,
    }


@pytest.mark.parametrize("since", [NOW - HOUR, NOW - 3 * DAY])
def test_second_miss_after_missing_confirm_is_gone(since: datetime) -> None:
    row = replace(ROW, missing_since=since, warnings=(*WARNINGS, MISSING_ONCE, OURS))

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
        "warnings": WARNINGS,
    }


def test_first_miss_is_never_gone_even_without_missing_confirm() -> None:
    policy = replace(POLICY, missing_confirm=timedelta())

    outcome = judge_reading(ROW, Reading(7, Answer.MISSING), policy, NOW)

    assert (outcome.outcome, outcome.next_run_at) == ("missing", NOW)


@pytest.mark.parametrize(
    ("attempts", "since", "wait"),
    [(1, None, HOUR), (5, NOW - 3 * DAY, 1.2 * HOUR), (6, NOW - MINUTE, 2.4 * HOUR)],
)
def test_doubtful_miss_keeps_missing_since_and_backs_off(
    attempts: int, since: datetime | None, wait: timedelta
) -> None:
    row = replace(ROW, attempts=attempts, missing_since=since, warnings=(*WARNINGS, OURS))

    assert judged(row, Answer.MISSING, detail="Not found.", doubtful=True) == {
        "outcome": "missing",
        "reason": Reason.UNCONFIRMED,
        "next_run_at": NOW + wait,
        "attempts": attempts,
        **({"missing_since": since} if since else {}),
        "detail": "Not found.",
        "warnings": (
            *WARNINGS,
            (
                "post_missing: the platform did not find this post, but may be wrong now;"
                " it will be requested again"
            ),
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
def test_processing_post_runs_again_after_a_tenth_of_its_age(age: timedelta, wait: timedelta | None) -> None:
    row = replace(ROW, publication=replace(ROW.publication, created_at=NOW - age), warnings=(*WARNINGS, OURS))
    sentence = "the platform has not published the post under a public id yet"

    assert judged(row, Answer.PROCESSING) == {
        "outcome": "processing",
        "reason": Reason.PROCESSING if wait else Reason.STOPPED,
        "next_run_at": NOW + wait if wait else None,
        "attempts": 0,
        "detail": sentence,
        "warnings": (*WARNINGS, f"post_processing: {sentence}"),
    }
    assert judged(row, Answer.PROCESSING, detail="It is checked.")["detail"] == "It is checked."
