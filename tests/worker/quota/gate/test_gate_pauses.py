"""How long a job's calls wait: what answers say of limits, pauses in force, refusals and failures."""

from dataclasses import replace
from datetime import timedelta

import pytest

from deploy.local.servers.valkey import Valkey
from shared.quota.pauses import PauseInForce
from shared.redis_client import connect
from shared.settings import Settings
from shared.vocabulary import BucketKind, Lane, PauseKind, Platform
from tests.servers import server_directory
from tests.worker.quota.fake_clock import FakeClock
from tests.worker.quota.gate.one_job import ask, job
from worker.errors import Paused, TryAgain
from worker.quota.fleet import FleetBudgets
from worker.quota.gate import JobBudget
from worker.quota.pause import Deferred
from worker.readings import Limit

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(("percent", "placed"), [(83, False), (84, True)])
def test_background_wait_over_five_minutes_becomes_a_pause(
    fleet: FleetBudgets, clock: FakeClock, percent: int, *, placed: bool
) -> None:
    """The application's share is of an hour: 83 % wait 4.3 minutes, 84 % wait 5.7."""
    budget = job(fleet, clock, Platform.FACEBOOK)
    ask(budget, Platform.FACEBOOK, "insights")

    budget.on_limits(Platform.FACEBOOK, "acc_1", (Limit(BucketKind.APP, None, used_percent=percent),))

    assert bool(budget.new_pauses) == placed


@pytest.mark.parametrize(
    ("percent", "resets_in", "wait"),
    [
        (100, None, timedelta(minutes=3)),  # 5 % of an hour above the 95 at which all calls stop
        (120, None, timedelta(minutes=12.5)),
        (100, timedelta(hours=16), timedelta(hours=16)),
        (96, timedelta(hours=16), timedelta(hours=16)),
    ],
)
def test_exhausted_share_pauses_all_work_until_it_falls_or_as_stated(
    fleet: FleetBudgets, clock: FakeClock, percent: int, resets_in: timedelta | None, wait: timedelta
) -> None:
    budget = job(fleet, clock, Platform.FACEBOOK)
    ask(budget, Platform.FACEBOOK, "insights")
    resets_at = clock.now() + resets_in if resets_in else None

    budget.on_limits(
        Platform.FACEBOOK, "acc_1", (Limit(BucketKind.APP, None, used_percent=percent, resets_at=resets_at),)
    )

    with pytest.raises(Deferred) as caught:
        ask(job(fleet, clock, Platform.FACEBOOK, Lane.INTERACTIVE), Platform.FACEBOOK, "insights")
    assert caught.value.until == clock.now() + wait


def standing(kind: PauseKind, subject: str, clock: FakeClock) -> PauseInForce:
    return PauseInForce("facebook", kind, subject, clock.now(), clock.now() + HOUR, "Limit reached.", 0)


def test_pause_of_endpoint_defers_only_its_calls(fleet: FleetBudgets, clock: FakeClock) -> None:
    longest, shorter = (standing(kind, "insights", clock) for kind in (PauseKind.ENDPOINT, PauseKind.BREAKER))
    pauses = [
        longest,
        standing(PauseKind.BACKGROUND, "acc_1", clock),
        replace(shorter, paused_until=clock.now()),
    ]
    budget = JobBudget(fleet, "acc_1", Platform.FACEBOOK, Lane.BACKGROUND, pauses, now=clock.now)

    ask(budget, Platform.FACEBOOK, "posts")
    ask(budget, Platform.FACEBOOK, "acc_1")
    with pytest.raises(Deferred, match="Limit reached") as caught:
        ask(budget, Platform.FACEBOOK, "insights")

    assert (caught.value.until, caught.value.pause) == (clock.now() + HOUR, longest.key)


def test_fallen_share_ends_background_pause_in_force(fleet: FleetBudgets, clock: FakeClock) -> None:
    pauses = [standing(PauseKind.BACKGROUND, "acc_1", clock)]
    budget = JobBudget(fleet, "acc_1", Platform.FACEBOOK, Lane.INTERACTIVE, pauses, now=clock.now)
    ask(budget, Platform.FACEBOOK, "insights")

    budget.on_limits(Platform.FACEBOOK, "acc_1", (Limit(BucketKind.ACCOUNT, None, used_percent=10),))

    assert [(one.kind, one.subject, one.until) for one in budget.new_pauses] == [
        (PauseKind.BACKGROUND, "acc_1", None)
    ]


def test_error_before_first_call_counts_for_no_breaker(fleet: FleetBudgets, clock: FakeClock) -> None:
    for _ in range(9):
        budget = job(fleet, clock)
        budget.on_result(TryAgain("503", breaks=True))
        assert budget.new_pauses == []


@pytest.mark.parametrize("ends_the_job", [True, False])
def test_refused_probe_escalates_and_keeps_refused_bucket(
    fleet: FleetBudgets, clock: FakeClock, *, ends_the_job: bool
) -> None:
    def refusal() -> Paused:
        return Paused(
            "Limit.",
            kind=BucketKind.ENDPOINT,
            endpoint="video/query",
            until=clock.now() + HOUR,
            escalates_until=clock.now() + 9 * HOUR,
        )

    first = job(fleet, clock)
    ask(first)
    first.on_result(refusal())
    clock.passes(3600)
    probe = job(fleet, clock)
    ask(probe)

    stands = probe.on_result(refusal()) if ends_the_job else probe.on_tolerated_error(refusal())

    assert isinstance(stands, Paused)
    assert (stands.kind, stands.endpoint) == (BucketKind.ENDPOINT, "video/query")
    assert stands.until == clock.now() + 9 * HOUR
    with pytest.raises(Deferred) as caught:
        ask(job(fleet, clock))
    assert caught.value.until == clock.now() + 9 * HOUR


def test_one_probe_goes_first_after_an_open_breaker(fleet: FleetBudgets, clock: FakeClock) -> None:
    for _ in range(5):
        failing = job(fleet, clock)
        ask(failing)
        failing.on_result(TryAgain("503", breaks=True))
    clock.passes(30)

    ask(job(fleet, clock))

    with pytest.raises(Deferred):
        ask(job(fleet, clock))


def test_settings_bound_wait_of_a_job_and_its_calls_without_redis() -> None:
    with server_directory() as directory:
        with Valkey(directory / "valkey") as server:
            gone = connect(server.url)
        fleet = FleetBudgets.of(Settings(lease_seconds=600, offline_calls_per_minute=60), gone)
        wanted = fleet.limits.of_call(Platform.TIKTOK, "acc_1", "video/query")
        decisions = [fleet.budgets.reserve(wanted, 1, Lane.BACKGROUND) for _ in range(10)]
        gone.close()

    assert fleet.longest_wait == timedelta(seconds=100)
    waits = [decision.wait for decision in decisions if decision.wait]
    assert waits
    assert max(waits) <= timedelta(seconds=1)
