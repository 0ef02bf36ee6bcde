"""What a fleet may rely on."""

from datetime import UTC, datetime, timedelta

import pytest

from deploy.local.servers.valkey import Valkey
from shared.quota.budgets import (
    FRESH_SHARE,
    OFFLINE_BURST,
    PROBE_FOR,
    PROBE_WAIT,
    REFUSALS_KEY,
    Budgets,
    Decision,
)
from shared.quota.limits import Rate
from shared.redis_client import RedisClient, connect
from shared.vocabulary import BucketKind, Lane, Platform
from tests.servers import server_directory
from tests.shared.quota.buckets import ACCOUNT, ENDPOINT, MINUTE, SHARE, Clock, reserve, reserve_for


def test_95_percent_of_a_limit_are_usable_and_background_leaves_the_interactive_share(
    budgets: Budgets, clock: Clock, client: RedisClient
) -> None:
    rate = Rate(60, MINUTE)

    everybody = len(reserve_for(budgets, clock, rate, 10 * MINUTE, Lane.INTERACTIVE))
    client.flushdb()
    background = len(reserve_for(budgets, clock, rate, 10 * MINUTE, Lane.BACKGROUND))

    assert 0.95 * 600 <= everybody <= 600
    assert 0.95 * (1 - SHARE) * 600 <= background <= (1 - SHARE) * 600


def test_interactive_calls_do_not_wait_while_background_uses_its_whole_share(
    budgets: Budgets, clock: Clock
) -> None:
    rate = Rate(600, MINUTE)
    for _ in range(50):
        reserve_for(budgets, clock, rate, timedelta(seconds=2), Lane.BACKGROUND)
        assert not reserve(budgets, (ENDPOINT, rate)).wait


def test_call_is_reserved_in_all_buckets_or_in_none(budgets: Budgets) -> None:
    wide, narrow = Rate(6000, MINUTE), Rate(1, MINUTE)
    assert not reserve(budgets, (ENDPOINT, wide), (ACCOUNT, narrow)).wait
    before = budgets.remaining([(ENDPOINT, wide)])

    refused = reserve(budgets, (ENDPOINT, wide), (ACCOUNT, narrow))

    assert (refused.bucket, refused.paused) == (ACCOUNT, False)
    assert budgets.remaining([(ENDPOINT, wide)]) == before


def test_bucket_without_stored_state_starts_with_a_small_burst(
    budgets: Budgets, clock: Clock, client: RedisClient
) -> None:
    rate = Rate(6000, MINUTE)
    reserve(budgets, (ENDPOINT, rate))
    clock.advance(MINUTE)

    def at_once() -> int:
        count = 0
        while not reserve(budgets, (ENDPOINT, rate)).wait:
            count += 1
        return count

    rested = at_once()
    client.flushdb()

    assert rested == pytest.approx(rate.burst, abs=1)
    assert at_once() == pytest.approx(rate.burst * FRESH_SHARE, abs=1)


def test_changed_limit_applies_from_the_next_decision(budgets: Budgets, clock: Clock) -> None:
    slow, fast = Rate(60, MINUTE), Rate(600, MINUTE)
    reserve_for(budgets, clock, slow, MINUTE, Lane.INTERACTIVE)

    raised = len(reserve_for(budgets, clock, fast, MINUTE, Lane.INTERACTIVE))
    lowered = len(reserve_for(budgets, clock, slow, MINUTE, Lane.INTERACTIVE))

    assert raised > 560
    assert lowered <= 60


def test_pause_after_refusal_ends_with_a_single_probe(budgets: Budgets, clock: Clock) -> None:
    budgets.pause(ACCOUNT, MINUTE, refused=True)
    assert reserve(budgets, (ACCOUNT, None)).wait == MINUTE
    clock.advance(MINUTE)

    first = reserve(budgets, (ACCOUNT, None))
    second = reserve(budgets, (ACCOUNT, None))
    budgets.probe_succeeded(first.probes)

    assert first.probes == (ACCOUNT,)
    assert (second.wait, second.paused) == (PROBE_WAIT, True)
    assert reserve(budgets, (ACCOUNT, None)) == Decision(timedelta())


def test_lost_probe_is_followed_by_another_probe(budgets: Budgets, clock: Clock) -> None:
    budgets.pause(ACCOUNT, MINUTE, refused=True)
    clock.advance(MINUTE)
    reserve(budgets, (ACCOUNT, None))
    clock.advance(PROBE_FOR)

    assert reserve(budgets, (ACCOUNT, None)).probes == (ACCOUNT,)


def test_refused_probe_pauses_again_and_a_late_success_does_not_lift_it(
    budgets: Budgets, clock: Clock
) -> None:
    budgets.pause(ACCOUNT, MINUTE, refused=True)
    clock.advance(MINUTE)
    probes = reserve(budgets, (ACCOUNT, None)).probes

    budgets.pause(ACCOUNT, timedelta(seconds=10), refused=True)
    budgets.probe_succeeded(probes)

    assert reserve(budgets, (ACCOUNT, None)).wait == timedelta(seconds=10)


def test_background_pause_does_not_delay_interactive_calls(budgets: Budgets) -> None:
    budgets.defer_background(ACCOUNT, MINUTE)

    assert not reserve(budgets, (ACCOUNT, None)).wait
    assert reserve(budgets, (ACCOUNT, None), lane=Lane.BACKGROUND).wait == MINUTE


def test_newest_background_pause_replaces_the_older_one(budgets: Budgets) -> None:
    def wait() -> timedelta:
        return reserve(budgets, (ACCOUNT, None), lane=Lane.BACKGROUND).wait

    budgets.defer_background(ACCOUNT, MINUTE)
    budgets.defer_background(ACCOUNT, timedelta(seconds=1))
    assert wait() == timedelta(seconds=1)

    budgets.defer_background(ACCOUNT, timedelta())
    assert wait() == timedelta()


def test_reported_numbers_with_capacity_for_background_end_its_pause(budgets: Budgets) -> None:
    budgets.update(ACCOUNT, remaining=100, limit=1000, left=MINUTE)
    assert reserve(budgets, (ACCOUNT, None), lane=Lane.BACKGROUND).wait == MINUTE

    budgets.update(ACCOUNT, remaining=990, limit=1000, left=MINUTE)

    assert not reserve(budgets, (ACCOUNT, None), lane=Lane.BACKGROUND).wait


def test_shorter_pause_never_shortens_a_longer_one(budgets: Budgets) -> None:
    budgets.pause(ACCOUNT, MINUTE)
    budgets.pause(ACCOUNT, timedelta(seconds=1))

    assert reserve(budgets, (ACCOUNT, None)).wait == MINUTE


def test_bucket_state_is_listed_and_expires(budgets: Budgets, clock: Clock) -> None:
    rate = Rate(600, MINUTE)
    reserve(budgets, (ENDPOINT, rate))
    budgets.pause(ACCOUNT, MINUTE)
    budgets.count_refusal(ACCOUNT)

    paced, paused = budgets.remaining([(ENDPOINT, rate), (ACCOUNT, None)])

    assert paced.calls_left == pytest.approx(rate.burst * FRESH_SHARE - 1, abs=0.01)
    assert paused.calls_left is None
    assert paused.paused_until == datetime.fromtimestamp(clock.now / 1e6, UTC) + MINUTE
    assert budgets.refusals() == {(Platform.TIKTOK, BucketKind.ACCOUNT): 1}


def test_malformed_refusal_count_in_redis_hides_no_other(client: RedisClient, budgets: Budgets) -> None:
    budgets.count_refusal(ACCOUNT)
    for name, count in ((b"\xff", 1), ("tiktok", 1), ("myspace:account", 1), ("x:account", "many")):
        client.hset(REFUSALS_KEY, name, count)

    assert budgets.refusals() == {(Platform.TIKTOK, BucketKind.ACCOUNT): 1}


def test_every_key_has_an_expiry(client: RedisClient, budgets: Budgets) -> None:
    reserve(budgets, (ENDPOINT, Rate(600, MINUTE)), (ACCOUNT, None), lane=Lane.BACKGROUND)
    budgets.pause(ACCOUNT, MINUTE, refused=True)
    budgets.update(ENDPOINT, remaining=5, limit=100, left=MINUTE)

    assert all(0 < client.ttl(key) < 3600 for key in client.scan_iter("dravo:budget:*"))


def test_server_clock_is_the_default(client: RedisClient) -> None:
    budgets = Budgets(client)
    rate = Rate(1, timedelta(hours=1))

    assert not reserve(budgets, (ENDPOINT, rate)).wait
    assert timedelta(minutes=59) < reserve(budgets, (ENDPOINT, rate)).wait < timedelta(minutes=61)


def test_update_uses_the_server_clock_too(client: RedisClient) -> None:
    budgets = Budgets(client)
    budgets.pause(ACCOUNT, MINUTE)

    assert MINUTE - timedelta(seconds=5) < reserve(budgets, (ACCOUNT, None)).wait <= MINUTE


def test_bucket_without_a_pace_stores_nothing(client: RedisClient, budgets: Budgets) -> None:
    reserve(budgets, (ACCOUNT, None), (ENDPOINT, Rate(600, MINUTE)))

    assert (client.exists(ACCOUNT.key), client.exists(ENDPOINT.key)) == (0, 1)


def test_decision_names_the_tightest_bucket_and_the_part_left_of_its_burst(
    budgets: Budgets, clock: Clock
) -> None:
    wide, narrow = Rate(60_000, MINUTE), Rate(6_000, MINUTE)
    reserve(budgets, (ENDPOINT, wide), (ACCOUNT, narrow))
    clock.advance(MINUTE)
    for _ in range(narrow.burst // 2):
        reserve(budgets, (ENDPOINT, wide), (ACCOUNT, narrow))

    bucket, part = reserve(budgets, (ENDPOINT, wide), (ACCOUNT, narrow)).left or (None, 0.0)

    assert bucket == ACCOUNT
    assert part == pytest.approx(0.5, abs=0.002)


def test_reported_numbers_leave_background_a_burst_of_one_call_at_least(budgets: Budgets) -> None:
    budgets.update(ENDPOINT, remaining=60, limit=60, left=2 * MINUTE)

    at_once = 0
    while not reserve(budgets, (ENDPOINT, None), lane=Lane.BACKGROUND).wait:
        at_once += 1

    assert at_once == 1
    assert timedelta() < reserve(budgets, (ENDPOINT, None), lane=Lane.BACKGROUND).wait < timedelta(seconds=2)


def test_process_without_redis_has_a_small_allowance_and_never_waits_long() -> None:
    with server_directory() as directory:
        with Valkey(directory / "valkey") as server:
            gone = connect(server.url)
        budgets = Budgets(gone, offline_calls_per_minute=10)
        decisions = [reserve(budgets, (ENDPOINT, Rate(600, MINUTE))) for _ in range(50)]
        budgets.pause(ENDPOINT, MINUTE)
        budgets.count_refusal(ENDPOINT)
        gone.close()

    assert sum(not decision.wait for decision in decisions) == OFFLINE_BURST
    assert all(decision.wait <= timedelta(seconds=6) for decision in decisions)
