"""What a fleet may rely on."""

from datetime import UTC, datetime, timedelta

import pytest

from deploy.local.valkey import Valkey
from shared.quota.budgets import (
    FRESH_SHARE,
    LOOK_AGAIN,
    OFFLINE_BURST,
    PROBE_FOR,
    REFUSALS_KEY,
    Budgets,
    Decision,
)
from shared.quota.limits import Rate
from shared.redis_client import RedisClient, connect
from shared.vocabulary import BucketKind, Lane, Platform
from tests.servers import server_directory
from tests.shared.quota.buckets import ACCOUNT, ENDPOINT, MINUTE, SHARE, Clock, take, taken_in


def test_at_least_95_percent_of_a_limit_are_used_and_background_leaves_its_share(
    budgets: Budgets, clock: Clock, client: RedisClient
) -> None:
    rate = Rate(60, MINUTE)

    everybody = len(taken_in(budgets, clock, rate, 10 * MINUTE, Lane.INTERACTIVE))
    client.flushdb()
    background = len(taken_in(budgets, clock, rate, 10 * MINUTE, Lane.BACKGROUND))

    assert 0.95 * 600 <= everybody <= 600
    assert 0.95 * (1 - SHARE) * 600 <= background <= (1 - SHARE) * 600


def test_people_need_not_wait_while_background_takes_all_it_can(budgets: Budgets, clock: Clock) -> None:
    rate = Rate(600, MINUTE)
    for _ in range(50):
        taken_in(budgets, clock, rate, timedelta(seconds=2), Lane.BACKGROUND)
        assert not take(budgets, (ENDPOINT, rate)).wait


def test_all_buckets_give_or_none(budgets: Budgets) -> None:
    wide, narrow = Rate(6000, MINUTE), Rate(1, MINUTE)
    assert not take(budgets, (ENDPOINT, wide), (ACCOUNT, narrow)).wait
    before = budgets.remaining([(ENDPOINT, wide)])

    refused = take(budgets, (ENDPOINT, wide), (ACCOUNT, narrow))

    assert (refused.bucket, refused.parked) == (ACCOUNT, False)
    assert budgets.remaining([(ENDPOINT, wide)]) == before


def test_a_lost_redis_begins_with_a_small_burst(budgets: Budgets, clock: Clock, client: RedisClient) -> None:
    rate = Rate(6000, MINUTE)
    take(budgets, (ENDPOINT, rate))
    clock.pass_(MINUTE)

    def at_once() -> int:
        count = 0
        while not take(budgets, (ENDPOINT, rate)).wait:
            count += 1
        return count

    rested = at_once()
    client.flushdb()

    assert rested == pytest.approx(rate.burst, abs=1)
    assert at_once() == pytest.approx(rate.burst * FRESH_SHARE, abs=1)


def test_a_changed_limit_holds_from_the_next_decision_on(budgets: Budgets, clock: Clock) -> None:
    slow, fast = Rate(60, MINUTE), Rate(600, MINUTE)
    taken_in(budgets, clock, slow, MINUTE, Lane.INTERACTIVE)

    raised = len(taken_in(budgets, clock, fast, MINUTE, Lane.INTERACTIVE))
    lowered = len(taken_in(budgets, clock, slow, MINUTE, Lane.INTERACTIVE))

    assert raised > 560
    assert lowered <= 60


def test_a_park_holds_for_all_and_ends_with_one_call_that_goes_alone(budgets: Budgets, clock: Clock) -> None:
    budgets.park(ACCOUNT, MINUTE, refused=True)
    assert take(budgets, (ACCOUNT, None)).wait == MINUTE
    clock.pass_(MINUTE)

    first = take(budgets, (ACCOUNT, None))
    second = take(budgets, (ACCOUNT, None))
    budgets.passed(first.probes)

    assert first.probes == (ACCOUNT,)
    assert (second.wait, second.parked) == (LOOK_AGAIN, True)
    assert take(budgets, (ACCOUNT, None)) == Decision(timedelta())


def test_a_call_that_went_alone_and_never_came_back_is_followed_by_another(
    budgets: Budgets, clock: Clock
) -> None:
    budgets.park(ACCOUNT, MINUTE, refused=True)
    clock.pass_(MINUTE)
    take(budgets, (ACCOUNT, None))
    clock.pass_(PROBE_FOR)

    assert take(budgets, (ACCOUNT, None)).probes == (ACCOUNT,)


def test_a_refused_probe_parks_anew_and_a_late_pass_does_not_lift_that(
    budgets: Budgets, clock: Clock
) -> None:
    budgets.park(ACCOUNT, MINUTE, refused=True)
    clock.pass_(MINUTE)
    probes = take(budgets, (ACCOUNT, None)).probes

    budgets.park(ACCOUNT, timedelta(seconds=10), refused=True)
    budgets.passed(probes)

    assert take(budgets, (ACCOUNT, None)).wait == timedelta(seconds=10)


def test_what_parks_background_alone_lets_people_pass(budgets: Budgets) -> None:
    budgets.defer_background(ACCOUNT, MINUTE)

    assert not take(budgets, (ACCOUNT, None)).wait
    assert take(budgets, (ACCOUNT, None), lane=Lane.BACKGROUND).wait == MINUTE


def test_the_newest_word_about_background_holds(budgets: Budgets) -> None:
    def wait() -> timedelta:
        return take(budgets, (ACCOUNT, None), lane=Lane.BACKGROUND).wait

    budgets.defer_background(ACCOUNT, MINUTE)
    budgets.defer_background(ACCOUNT, timedelta(seconds=1))
    assert wait() == timedelta(seconds=1)

    budgets.defer_background(ACCOUNT, timedelta())
    assert wait() == timedelta()


def test_numbers_that_leave_enough_for_background_end_its_wait(budgets: Budgets) -> None:
    budgets.tell(ACCOUNT, remaining=100, limit=1000, left=MINUTE)
    assert take(budgets, (ACCOUNT, None), lane=Lane.BACKGROUND).wait == MINUTE

    budgets.tell(ACCOUNT, remaining=990, limit=1000, left=MINUTE)

    assert not take(budgets, (ACCOUNT, None), lane=Lane.BACKGROUND).wait


def test_a_shorter_park_never_shortens_a_longer_one(budgets: Budgets) -> None:
    budgets.park(ACCOUNT, MINUTE)
    budgets.park(ACCOUNT, timedelta(seconds=1))

    assert take(budgets, (ACCOUNT, None)).wait == MINUTE


def test_what_stands_in_redis_is_told_and_forgotten_in_time(budgets: Budgets, clock: Clock) -> None:
    rate = Rate(600, MINUTE)
    take(budgets, (ENDPOINT, rate))
    budgets.park(ACCOUNT, MINUTE)
    budgets.count_refusal(ACCOUNT)

    paced, parked = budgets.remaining([(ENDPOINT, rate), (ACCOUNT, None)])

    assert paced.calls_left == pytest.approx(rate.burst * FRESH_SHARE - 1, abs=0.01)
    assert parked.calls_left is None
    assert parked.parked_until == datetime.fromtimestamp(clock.now / 1e6, UTC) + MINUTE
    assert budgets.refusals() == {(Platform.TIKTOK, BucketKind.ACCOUNT): 1}


def test_malformed_refusal_count_in_redis_hides_no_other(client: RedisClient, budgets: Budgets) -> None:
    budgets.count_refusal(ACCOUNT)
    for name, count in ((b"\xff", 1), ("tiktok", 1), ("myspace:account", 1), ("x:account", "many")):
        client.hset(REFUSALS_KEY, name, count)

    assert budgets.refusals() == {(Platform.TIKTOK, BucketKind.ACCOUNT): 1}


def test_every_key_has_an_end(client: RedisClient, budgets: Budgets) -> None:
    take(budgets, (ENDPOINT, Rate(600, MINUTE)), (ACCOUNT, None), lane=Lane.BACKGROUND)
    budgets.park(ACCOUNT, MINUTE, refused=True)
    budgets.tell(ENDPOINT, remaining=5, limit=100, left=MINUTE)

    assert all(0 < client.ttl(key) < 3600 for key in client.scan_iter("dravo:budget:*"))


def test_the_server_s_clock_is_used_where_none_is_given(client: RedisClient) -> None:
    budgets = Budgets(client)
    rate = Rate(1, timedelta(hours=1))

    assert not take(budgets, (ENDPOINT, rate)).wait
    assert timedelta(minutes=59) < take(budgets, (ENDPOINT, rate)).wait < timedelta(minutes=61)


def test_without_redis_a_process_has_a_small_allowance_and_never_waits_long() -> None:
    with server_directory() as directory:
        with Valkey(directory / "valkey") as server:
            gone = connect(server.url)
        budgets = Budgets(gone, offline_calls_per_minute=10)
        decisions = [take(budgets, (ENDPOINT, Rate(600, MINUTE))) for _ in range(50)]
        budgets.park(ENDPOINT, MINUTE)
        budgets.count_refusal(ENDPOINT)
        gone.close()

    assert sum(not decision.wait for decision in decisions) == OFFLINE_BURST
    assert all(decision.wait <= timedelta(seconds=6) for decision in decisions)
