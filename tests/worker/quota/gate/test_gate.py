"""A job's budgets: a short wait blocks, a long one defers the rows, and the fleet shares what was learned."""

from dataclasses import replace
from datetime import datetime, timedelta
from statistics import mean

import pytest

from shared.quota.limits import Limits
from shared.redis_client import RedisClient
from shared.vocabulary import BucketKind, Lane, Platform
from tests.worker.quota.fake_clock import NOW, FakeClock
from tests.worker.quota.gate.one_job import ask, job
from worker.errors import Paused, TryAgain
from worker.quota.fleet import FleetBudgets
from worker.quota.gate import JobBudget
from worker.quota.pause import Deferred
from worker.readings import Limit

HOUR = timedelta(hours=1)


def test_short_wait_blocks_and_long_wait_defers(fleet: FleetBudgets, clock: FakeClock) -> None:
    slow = replace(
        fleet, limits=Limits.parse("tiktok:endpoint:video/query=30/1m"), longest_wait=timedelta(seconds=4)
    )
    begun = clock.now()
    patient = job(slow, clock)
    ask(patient)
    ask(patient)
    waited = clock.now() - begun

    with pytest.raises(Deferred, match="video/query at TikTok is used up") as caught:
        ask(patient)

    assert timedelta(seconds=2) < waited < timedelta(seconds=4)
    assert clock.now() - begun < timedelta(seconds=6), "no job waits for ever"
    assert clock.now() < caught.value.until < clock.now() + timedelta(seconds=5)


def test_refusal_pauses_bucket_for_all_and_one_probe_goes_first(
    fleet: FleetBudgets, clock: FakeClock
) -> None:
    first, others = job(fleet, clock), [job(fleet, clock) for _ in range(3)]
    ask(first)
    first.on_result(
        Paused("Limit.", kind=BucketKind.ENDPOINT, endpoint="video/query", until=clock.now() + HOUR)
    )

    for other in others:
        with pytest.raises(Deferred, match="was reached"):
            ask(other)
    clock.passes(3600)
    probe = job(fleet, clock)
    ask(probe)
    with pytest.raises(Deferred):
        ask(others[0])
    probe.on_result(None)

    ask(others[0])
    assert fleet.budgets.refusals() == {(Platform.TIKTOK, BucketKind.ENDPOINT): 1}


def test_job_of_the_probe_continues(fleet: FleetBudgets, clock: FakeClock) -> None:
    refused = job(fleet, clock)
    ask(refused)
    refused.on_result(Paused("Limit.", kind=BucketKind.APP, until=clock.now() + HOUR))
    clock.passes(3600)
    probe = job(fleet, clock)

    ask(probe)
    ask(probe)


def test_refusal_of_account_does_not_pause_other_accounts(fleet: FleetBudgets, clock: FakeClock) -> None:
    refused = job(fleet, clock)
    ask(refused)
    refused.on_result(Paused("Limit.", kind=BucketKind.ACCOUNT, until=clock.now() + HOUR))

    JobBudget(fleet, "acc_2", Platform.TIKTOK, Lane.BACKGROUND, (), now=clock.now).acquire(
        Platform.TIKTOK, "acc_2", "video/query", 1
    )
    with pytest.raises(Deferred):
        ask(job(fleet, clock))


def test_fifth_failure_opens_breaker_and_failed_probe_doubles_it(
    fleet: FleetBudgets, client: RedisClient, clock: FakeClock
) -> None:
    down = TryAgain("503", breaks=True)
    opened = []
    for _ in range(5):
        failing = job(fleet, clock)
        ask(failing)
        failing.on_result(down)
        opened += failing.new_pauses
    with pytest.raises(Deferred):
        ask(job(fleet, clock))
    clock.passes(30)
    client.delete("dravo:breaker:tiktok:video/query:open")  # as its end, on the server's own clock
    probe = job(fleet, clock)
    ask(probe)
    probe.on_result(down)

    (first,), (second,) = opened, probe.new_pauses
    assert (first.kind, first.subject) == ("breaker", "video/query")
    assert second.until is not None
    assert second.until - clock.now() == 2 * timedelta(seconds=30)


def test_only_5xx_and_time_outs_open_a_breaker(fleet: FleetBudgets, clock: FakeClock) -> None:
    for error in (TryAgain("unreadable"), None, TryAgain("503", breaks=True)) * 10:
        one = job(fleet, clock)
        ask(one)
        one.on_result(error)
        assert one.new_pauses == []


@pytest.mark.parametrize(
    ("percent", "waiting", "pauses"),
    [
        (79, set(), 0),
        (81, {Lane.BACKGROUND}, 1),
        (85, {Lane.BACKGROUND}, 1),
        (96, {Lane.BACKGROUND}, 1),
        (100, {*Lane}, 1),
    ],
)
def test_used_percents_defer_background_before_interactive(
    fleet: FleetBudgets, clock: FakeClock, percent: int, waiting: set[Lane], pauses: int
) -> None:
    budget = job(fleet, clock, Platform.FACEBOOK)
    ask(budget, Platform.FACEBOOK, "insights")
    budget.on_limits(Platform.FACEBOOK, "acc_1", (Limit(BucketKind.ACCOUNT, None, used_percent=percent),))

    def waits(lane: Lane) -> bool:
        try:
            ask(job(fleet, clock, Platform.FACEBOOK, lane), Platform.FACEBOOK, "insights")
        except Deferred:
            return True
        return False

    assert {lane for lane in Lane if waits(lane)} == waiting
    assert [new.kind for new in budget.new_pauses] == ["background"] * pauses


@pytest.mark.parametrize(("percent", "waits"), [(10, False), (80, False), (85, True)])
def test_smaller_share_ends_or_shortens_background_wait_of_the_fleet(
    fleet: FleetBudgets, clock: FakeClock, percent: int, *, waits: bool
) -> None:
    def budget(percent: int) -> JobBudget:
        person = job(fleet, clock, Platform.FACEBOOK, Lane.INTERACTIVE)
        ask(person, Platform.FACEBOOK, "insights")
        person.on_limits(Platform.FACEBOOK, "acc_1", (Limit(BucketKind.ACCOUNT, None, used_percent=percent),))
        return person

    (long,) = budget(99).new_pauses
    short = budget(percent).new_pauses

    assert long.until is not None
    assert [one.until is not None and one.until < long.until - HOUR for one in short] == [True] * waits
    background = job(fleet, clock, Platform.FACEBOOK)
    if waits:
        with pytest.raises(Deferred) as caught:
            ask(background, Platform.FACEBOOK, "insights")
        assert caught.value.until == short[0].until
    else:
        ask(background, Platform.FACEBOOK, "insights")


def test_largest_share_of_a_bucket_in_one_answer_applies(fleet: FleetBudgets, clock: FakeClock) -> None:
    budget = job(fleet, clock, Platform.FACEBOOK, Lane.INTERACTIVE)
    ask(budget, Platform.FACEBOOK, "insights")
    shares = [Limit(BucketKind.ACCOUNT, None, used_percent=percent) for percent in (97, 10)]

    budget.on_limits(Platform.FACEBOOK, "acc_1", tuple(shares))

    with pytest.raises(Deferred):
        ask(job(fleet, clock, Platform.FACEBOOK), Platform.FACEBOOK, "insights")


def test_rolling_share_is_steered_to_80_percent(fleet: FleetBudgets, clock: FakeClock) -> None:
    """An hourly limit of 200 calls with more work than that: the share settles at 80 % and stays there."""
    calls: list[datetime] = []
    shares = []
    while clock.now() < NOW + 6 * HOUR:
        try:
            ask(one := job(fleet, clock, Platform.FACEBOOK), Platform.FACEBOOK, "insights")
        except Deferred as wait:
            clock.at = wait.until
            continue
        calls = [*[at for at in calls if at > clock.now() - HOUR], clock.now()]
        shares.append(100 * len(calls) // 200)
        one.on_limits(Platform.FACEBOOK, "acc_1", (Limit(BucketKind.APP, None, used_percent=shares[-1]),))
        clock.passes(5)

    assert max(shares) < 90, "the worst case: all of it was used at the start of the hour"
    assert mean(shares[300:]) >= 70


@pytest.mark.parametrize(
    "lie",
    [
        Limit(BucketKind.ACCOUNT, None, used_percent=5, resets_at=NOW + timedelta(hours=16)),
        Limit(BucketKind.ACCOUNT, None, used_percent=0),
        Limit(BucketKind.ACCOUNT, None, remaining=0, limit=10),
        Limit(BucketKind.ACCOUNT, None, remaining=0, limit=10, resets_at=NOW - HOUR),
        Limit(BucketKind.ACCOUNT, None, remaining=0, limit=10, resets_at=NOW + timedelta(days=9)),
        Limit(BucketKind.ACCOUNT, None, remaining=99, limit=10, resets_at=NOW + HOUR),
        Limit(BucketKind.ACCOUNT, None, resets_at=NOW - HOUR),
        Limit(BucketKind.ACCOUNT, None),
    ],
)
def test_implausible_limits_are_ignored(fleet: FleetBudgets, clock: FakeClock, lie: Limit) -> None:
    budget = job(fleet, clock, Platform.FACEBOOK)
    ask(budget, Platform.FACEBOOK, "insights")
    budget.on_limits(Platform.FACEBOOK, "acc_1", (lie,))

    ask(job(fleet, clock, Platform.FACEBOOK), Platform.FACEBOOK, "insights")
