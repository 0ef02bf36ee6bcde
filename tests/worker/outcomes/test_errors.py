"""What each error writes for a row without a reading, to the instant."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.vocabulary import BucketKind, Reason
from tests.worker.outcomes.table import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    OURS,
    POLICY,
    ROW,
    SECOND,
    SINCE,
    WARNINGS,
    judged_error,
    retried,
)
from worker.errors import Misconfigured, Paused, TryAgain
from worker.outcomes.errors import judge_error

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
def test_transient_error_backs_off_and_fails_at_fifth_attempt(
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
def test_requested_wait_is_kept_and_at_most_doubled(attempts: int, after: timedelta, wait: timedelta) -> None:
    row = replace(ROW, attempts=attempts, missing_since=SINCE)

    assert judged_error(row, TryAgain("Down.", after=after)) == retried(wait, attempts, "Down.")


def test_first_retry_longer_than_longest_wait_is_kept() -> None:
    policy = replace(POLICY, first_retry=8 * HOUR)

    outcome = judge_error(replace(ROW, attempts=5), TryAgain("Down."), policy, NOW)

    assert outcome.next_run_at == NOW + 1.2 * 8 * HOUR


@pytest.mark.parametrize(
    ("left", "spread"),
    [(10 * SECOND, 1.5), (timedelta(), 0.5), (4 * MINUTE, 24.5), (HOUR, 30.0), (300 * DAY, 30.0)],
)
def test_limit_costs_no_attempt_and_adds_jitter_to_its_end(
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
        "warnings": WARNINGS,
    }
    assert bounds == [(0, spread)]


def test_misconfiguration_costs_no_attempt_and_warns_once() -> None:
    row = replace(ROW, missing_since=SINCE)
    expected = {
        "outcome": "misconfigured",
        "reason": Reason.RETRY,
        "next_run_at": NOW + 2.4 * MINUTE,
        "attempts": 2,
        "missing_since": SINCE,
        "detail": "Wrong version.",
        "warnings": (*WARNINGS, OURS),
    }

    assert judged_error(row, Misconfigured("Wrong version.")) == expected
    again = replace(row, warnings=(*WARNINGS, OURS))
    assert judged_error(again, Misconfigured("Wrong version.")) == expected
