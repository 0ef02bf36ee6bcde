"""A stop that is tried reopens its bucket once, for one call; the rest of the fleet waits for its answer."""

from datetime import timedelta

import pytest

from shared.quota.pauses import PauseInForce
from shared.vocabulary import BucketKind, Lane, PauseKind, Platform
from tests.worker.quota.fake_clock import FakeClock
from worker.errors import Paused
from worker.quota.fleet import FleetBudgets
from worker.quota.gate import JobBudget
from worker.quota.pause import Deferred

HOUR = timedelta(hours=1)


def job(fleet: FleetBudgets, clock: FakeClock, *stops: PauseInForce) -> JobBudget:
    return JobBudget(fleet, "acc_1", Platform.X, Lane.INTERACTIVE, stops, now=clock.now, sleep=clock.passes)


def call(budget: JobBudget) -> None:
    budget.acquire(Platform.X, "acc_1", "tweets", 1)


def refusal(clock: FakeClock) -> Paused:
    return Paused("Credits.", kind=BucketKind.APP, until=clock.now() + HOUR, stop=PauseKind.CREDITS)


@pytest.fixture
def tried(fleet: FleetBudgets, clock: FakeClock) -> PauseInForce:
    """Refuse a call, and end the stop a minute later."""
    refused = job(fleet, clock)
    call(refused)
    refused.on_result(refusal(clock))
    clock.passes(60)
    with pytest.raises(Deferred):
        call(job(fleet, clock))
    now = clock.now()
    return PauseInForce("x", PauseKind.CREDITS, "", now - HOUR, now, "Credits.", 1)


def test_one_call_goes_alone_until_it_is_accepted(
    fleet: FleetBudgets, clock: FakeClock, tried: PauseInForce
) -> None:
    first, second = (job(fleet, clock, tried) for _ in range(2))

    call(first)
    with pytest.raises(Deferred):
        call(second)
    first.on_result(None)
    first.on_accepted()

    assert [(new.kind, new.until) for new in first.new_pauses] == [(PauseKind.CREDITS, None)]
    call(job(fleet, clock))


def test_refused_trial_is_not_repeated_by_other_jobs_of_the_same_occasion(
    fleet: FleetBudgets, clock: FakeClock, tried: PauseInForce
) -> None:
    first, second = (job(fleet, clock, tried) for _ in range(2))
    call(first)

    first.on_result(refusal(clock))

    with pytest.raises(Deferred):
        call(second)
    assert first.new_pauses == []
