"""Budgets: the scripts against a model of them in Python, and what a fleet may rely on."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import ceil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.local.valkey import Valkey
from shared.budgets import FRESH_SHARE, GUARD_SHARE, LOOK_AGAIN, OFFLINE_BURST, PROBE_FOR, Budgets, Decision
from shared.limits import Bucket, Limits, Rate
from shared.redis_client import RedisClient, connect
from shared.vocabulary import BucketKind, Lane, Platform
from tests.servers import server_directory

SHARE = 0.15
START = 1_800_000_000_000_000
ENDPOINT = Bucket(Platform.TIKTOK, BucketKind.ENDPOINT, "video/query")
ACCOUNT = Bucket(Platform.TIKTOK, BucketKind.ACCOUNT, "acc_1")
MINUTE = timedelta(minutes=1)


class Clock:
    """A server's clock that moves when it is told to, in microseconds."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        """Return the time."""
        return self.now

    def pass_(self, span: timedelta) -> None:
        """Move on."""
        self.now += span // timedelta(microseconds=1)


@pytest.fixture
def client(redis_url: str) -> Iterator[RedisClient]:
    client = connect(redis_url)
    yield client
    client.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def budgets(client: RedisClient, clock: Clock) -> Budgets:
    return Budgets(client, interactive_share=SHARE, now=clock)


def take(budgets: Budgets, *wanted: tuple[Bucket, Rate | None], lane: Lane = Lane.INTERACTIVE) -> Decision:
    return budgets.take(wanted, 1, lane)


def taken_in(budgets: Budgets, clock: Clock, rate: Rate, span: timedelta, lane: Lane) -> list[int]:
    """Take as fast as the budget allows for a while; return the instants, in microseconds."""
    end = clock.now + span // timedelta(microseconds=1)
    instants = []
    while clock.now < end:
        decision = take(budgets, (ENDPOINT, rate), lane=lane)
        if decision.wait:
            clock.pass_(decision.wait)
        else:
            instants.append(clock.now)
    return instants


# The reference model


@dataclass
class Modelled:
    """One bucket, as plainly as it can be said."""

    tat: float | None = None
    bg: float | None = None
    parked: float = 0
    bg_parked: float = 0


@dataclass
class Model:
    """GCRA for several buckets, all or nothing, in the words of the textbook."""

    buckets: dict[Bucket, Modelled] = field(default_factory=dict)

    def take(self, wanted: list[tuple[Bucket, Rate]], cost: int, lane: Lane, now: int) -> float:
        """Return the wait in microseconds."""
        waits, written = [0.0], []
        for bucket, rate in wanted:
            known = self.buckets.setdefault(bucket, Modelled())
            waits.append(known.parked - now)
            clocks = [("tat", rate.every, float(rate.burst))]
            if lane is Lane.BACKGROUND:
                waits.append(known.bg_parked - now)
                clocks.append(("bg", rate.every / (1 - SHARE), max(1, rate.burst * (1 - SHARE))))
            for name, every, burst in clocks:
                paid_off = getattr(known, name)
                if paid_off is None:
                    fresh = min(max(1.0, rate.burst * FRESH_SHARE), burst)
                    owed = (burst - fresh) * every
                else:
                    owed = max(paid_off - now, 0)
                    waits.append(owed + min(cost, burst) * every - burst * every)
                written.append((known, name, now + owed + cost * every))
        if max(waits) > 0:
            return max(waits)
        for known, name, paid_off in written:
            setattr(known, name, paid_off)
        return 0


RATES = {
    ENDPOINT: st.sampled_from([Rate(600, MINUTE), Rate(7, timedelta(seconds=1)), Rate(1, MINUTE)]),
    ACCOUNT: st.sampled_from([Rate(100, timedelta(seconds=10)), Rate(5000, timedelta(minutes=15))]),
}
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("take"),
            st.sets(st.sampled_from([ENDPOINT, ACCOUNT]), min_size=1),
            st.integers(1, 60),
            st.sampled_from(Lane),
        ),
        st.tuples(st.just("pass"), st.integers(0, 3_000_000)),
        st.tuples(
            st.just("park"), st.sampled_from([ENDPOINT, ACCOUNT]), st.integers(1, 2_000_000), st.booleans()
        ),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), steps=STEPS)
def test_every_decision_is_the_model_s(
    client: RedisClient, data: st.DataObject, steps: list[tuple[object, ...]]
) -> None:
    client.flushdb()
    clock, model = Clock(), Model()
    budgets = Budgets(client, interactive_share=SHARE, now=clock)
    for step in steps:
        match step:
            case ("take", set() as buckets, int() as cost, Lane() as lane):
                wanted = [(one, data.draw(RATES[one])) for one in sorted(buckets, key=str)]
                decision = budgets.take(wanted, cost, lane)
                expected = model.take(wanted, cost, lane, clock.now)
                assert decision.wait / timedelta(microseconds=1) == pytest.approx(ceil(expected), abs=2)
                assert bool(decision.wait) is (decision.bucket is not None)
            case ("park", Bucket() as bucket, int() as micros, bool() as background_only):
                budgets.park(bucket, timedelta(microseconds=micros), background_only=background_only)
                known = model.buckets.setdefault(bucket, Modelled())
                name = "bg_parked" if background_only else "parked"
                setattr(known, name, max(getattr(known, name), clock.now + micros))
            case ("pass", int() as micros):
                clock.now += micros


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=st.integers(1, 150), seconds=st.integers(1, 900), lane=st.sampled_from(Lane))
def test_no_stretch_of_a_window_s_length_ever_holds_more_calls_than_the_limit(
    client: RedisClient, calls: int, seconds: int, lane: Lane
) -> None:
    client.flushdb()
    clock = Clock()
    window = timedelta(seconds=seconds)
    budgets = Budgets(client, interactive_share=SHARE, now=clock)

    instants = taken_in(budgets, clock, Rate(calls, window), 3 * window, lane)

    micros = window // timedelta(microseconds=1)
    assert all(later - first >= micros for first, later in zip(instants, instants[calls:], strict=False))


# What a fleet may rely on


def test_at_least_95_percent_of_a_limit_are_used_and_background_leaves_its_share(
    budgets: Budgets, clock: Clock, client: RedisClient
) -> None:
    rate = Rate(600, MINUTE)

    everybody = len(taken_in(budgets, clock, rate, 10 * MINUTE, Lane.INTERACTIVE))
    client.flushdb()
    background = len(taken_in(budgets, clock, rate, 10 * MINUTE, Lane.BACKGROUND))

    assert 0.95 * 6000 <= everybody <= 6000
    assert 0.95 * (1 - SHARE) * 6000 <= background <= (1 - SHARE) * 6000


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
    slow, fast = Rate(60, MINUTE), Rate(6000, MINUTE)
    taken_in(budgets, clock, slow, MINUTE, Lane.INTERACTIVE)

    raised = len(taken_in(budgets, clock, fast, MINUTE, Lane.INTERACTIVE))
    lowered = len(taken_in(budgets, clock, slow, MINUTE, Lane.INTERACTIVE))

    assert raised > 5600
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
    budgets.park(ACCOUNT, MINUTE, background_only=True)

    assert not take(budgets, (ACCOUNT, None)).wait
    assert take(budgets, (ACCOUNT, None), lane=Lane.BACKGROUND).wait == MINUTE


def test_a_shorter_park_never_shortens_a_longer_one(budgets: Budgets) -> None:
    budgets.park(ACCOUNT, MINUTE)
    budgets.park(ACCOUNT, timedelta(seconds=1))

    assert take(budgets, (ACCOUNT, None)).wait == MINUTE


# The platform's word


def test_nothing_remaining_parks_until_the_window_ends(budgets: Budgets, clock: Clock) -> None:
    budgets.tell(ACCOUNT, remaining=0, limit=5000, left=MINUTE)

    assert take(budgets, (ACCOUNT, Rate(5000, MINUTE))).wait == MINUTE
    clock.pass_(MINUTE)
    assert not take(budgets, (ACCOUNT, Rate(5000, MINUTE))).wait


@pytest.mark.parametrize("lane", Lane)
def test_no_more_is_taken_than_the_platform_says_remains(budgets: Budgets, clock: Clock, lane: Lane) -> None:
    budgets.tell(ENDPOINT, remaining=40, limit=100, left=MINUTE)

    instants = taken_in(budgets, clock, Rate(5000, MINUTE), MINUTE / 2, lane)

    allowed = 40 - GUARD_SHARE * 100 - (SHARE * 100 if lane is Lane.BACKGROUND else 0)
    assert 0.9 * allowed <= len(instants) <= allowed + 3


def test_a_window_that_is_followed_call_by_call_is_used_up_and_never_overdrawn(
    budgets: Budgets, clock: Clock
) -> None:
    """A platform with another limit and another window than published: 50 calls in 10 seconds."""
    length, limit, used = timedelta(seconds=10), 50, [0] * 6
    while (window := (clock.now - START) // 10_000_000) < len(used):
        decision = take(budgets, (ACCOUNT, Rate(5000, timedelta(minutes=15))))
        if decision.wait:
            clock.pass_(decision.wait)
            continue
        used[window] += 1
        left = length - timedelta(microseconds=(clock.now - START) % 10_000_000)
        budgets.tell(ACCOUNT, remaining=limit - used[window], limit=limit, left=left)

    assert all(0.95 * limit <= calls <= limit for calls in used), used


@pytest.mark.parametrize(
    ("remaining", "limit", "left"),
    [
        (10, 100, timedelta(seconds=-5)),
        (0, 100, timedelta()),
        (0, 100, timedelta(days=400)),
        (10**12, None, timedelta(seconds=1)),
        (10**12, 1, timedelta(hours=25)),
        (5, 10**12, timedelta(microseconds=1)),
    ],
)
def test_absurd_words_do_no_lasting_harm(
    budgets: Budgets, clock: Clock, remaining: int, limit: int | None, left: timedelta
) -> None:
    budgets.tell(ACCOUNT, remaining=remaining, limit=limit, left=left)

    clock.pass_(timedelta(seconds=1))
    assert take(budgets, (ACCOUNT, Rate(5000, MINUTE)), lane=Lane.BACKGROUND).wait < timedelta(seconds=1)


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


# The published limits


def test_an_operator_s_limits_replace_the_published_ones() -> None:
    limits = Limits.parse(
        "tiktok:endpoint:video/query=1200/2m, x:account:tweets=none,linkedin:account:*=9/1d"
    )

    def rates(platform: Platform, endpoint: str) -> list[Rate | None]:
        return [rate for _, rate in limits.of_call(platform, "acc_1", endpoint)]

    assert rates(Platform.TIKTOK, "video/query") == [None, Rate(1200, 2 * MINUTE), None, None]
    assert rates(Platform.X, "tweets") == [None] * 4
    assert rates(Platform.LINKEDIN, "posts") == [None, None, Rate(9, timedelta(days=1)), None]


@pytest.mark.parametrize(
    "text",
    [
        "tiktok",
        "mars:app:*=1/1m",
        "x:planet:*=1/1m",
        "x:app:tweets=1/1m",
        "x:endpoint:*=1/1m",
        "x:app:*=0/1m",
    ],
)
def test_a_limit_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must look like|written with|at least one call"):
        Limits.parse(text)
