"""A doubtful miss is never confirmed: the row runs again, with a growing wait."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.vocabulary import Reason, SyncStatus
from tests.worker.adapters.support import publication
from tests.worker.outcomes.table import FIXED
from worker.claims import StartedRow
from worker.outcomes.outcome import Policy
from worker.outcomes.readings import judge_reading
from worker.readings import Answer, Reading

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
CONFIRM = timedelta(hours=1)
DOUBTFUL = Reading(1, Answer.MISSING, doubtful=True)


def policy(confirm: timedelta = CONFIRM) -> Policy:
    return Policy(
        freshness=FIXED,
        first_retry=timedelta(seconds=15),
        missing_confirm=confirm,
        quarantine_starts=3,
    )


def started(*, attempts: int = 1, missing_since: datetime | None = None) -> StartedRow:
    return StartedRow(
        publication=publication(1, "1"),
        claim_seq=1,
        attempts=attempts,
        unfinished=1,
        missing_since=missing_since,
        sync_status=SyncStatus.SYNCED,
        metrics={"views": 3},
        warnings=(),
        last_updated_at=NOW - timedelta(days=1),
        snapshot_at=None,
    )


@pytest.mark.parametrize("missing_since", [None, NOW - timedelta(days=3)], ids=["first look", "second look"])
def test_a_doubtful_miss_neither_confirms_nor_starts_the_clock(missing_since: datetime | None) -> None:
    outcome = judge_reading(started(missing_since=missing_since), DOUBTFUL, policy(), NOW)

    assert (outcome.outcome, outcome.reason) == ("missing", Reason.UNCONFIRMED)
    assert (outcome.sync_status, outcome.metrics) == (None, None)
    assert outcome.missing_since == missing_since
    assert outcome.next_run_at == NOW + CONFIRM
    assert [warning.split(":")[0] for warning in outcome.warnings] == ["post_missing"]


def test_a_miss_that_is_not_doubtful_is_confirmed_by_the_second_look() -> None:
    outcome = judge_reading(started(missing_since=NOW - CONFIRM), Reading(1, Answer.MISSING), policy(), NOW)

    assert (outcome.outcome, outcome.next_run_at) == ("gone", None)


def test_doubtful_misses_are_asked_at_a_growing_interval_that_ends_at_hours() -> None:
    waits = []
    for attempts in (1, 5, 100):
        outcome = judge_reading(started(attempts=attempts), DOUBTFUL, policy(timedelta()), NOW)
        assert outcome.attempts == attempts, "the pace needs the count"
        assert outcome.next_run_at is not None
        waits.append(outcome.next_run_at - NOW)

    assert waits == sorted(waits)
    assert waits[0] > timedelta(seconds=10), "not at once, even where a miss is confirmed at once"
    assert timedelta(hours=4) < waits[-1] < timedelta(hours=8)
