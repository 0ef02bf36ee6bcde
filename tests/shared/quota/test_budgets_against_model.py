"""The Lua scripts decide like a model of them in Python."""

from dataclasses import dataclass, field
from datetime import timedelta
from math import ceil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.quota.budgets import FRESH_SHARE, Budgets
from shared.quota.limits import Bucket, Rate
from shared.redis_client import RedisClient
from shared.vocabulary import Lane
from tests.shared.quota.buckets import ACCOUNT, ENDPOINT, MINUTE, SHARE, Clock, reserve_for


@dataclass
class ModelBucket:
    """One bucket in its simplest form."""

    tat: float | None = None
    bg: float | None = None
    paused: float = 0
    bg_paused: float = 0


@dataclass
class Model:
    """GCRA for several buckets, all or nothing, as textbooks describe it."""

    buckets: dict[Bucket, ModelBucket] = field(default_factory=dict)

    def reserve(self, buckets: list[tuple[Bucket, Rate]], cost: int, lane: Lane, now: int) -> float:
        """Return the wait in microseconds."""
        waits, written = [0.0], []
        for bucket, rate in buckets:
            known = self.buckets.setdefault(bucket, ModelBucket())
            waits.append(known.paused - now)
            clocks = [("tat", rate.every, float(rate.burst))]
            if lane is Lane.BACKGROUND:
                waits.append(known.bg_paused - now)
                clocks.append(("bg", rate.every / (1 - SHARE), max(1, rate.burst * (1 - SHARE))))
            for name, every, burst in clocks:
                arrival = getattr(known, name)
                if arrival is None:
                    fresh = min(max(1.0, rate.burst * FRESH_SHARE), burst)
                    owed = (burst - fresh) * every
                else:
                    owed = max(arrival - now, 0)
                    waits.append(owed + min(cost, burst) * every - burst * every)
                written.append((known, name, now + owed + cost * every))
        if max(waits) > 0:
            return max(waits)
        for known, name, arrival in written:
            setattr(known, name, arrival)
        return 0


RATES = {
    ENDPOINT: st.sampled_from([Rate(600, MINUTE), Rate(7, timedelta(seconds=1)), Rate(1, MINUTE)]),
    ACCOUNT: st.sampled_from([Rate(100, timedelta(seconds=10)), Rate(5000, timedelta(minutes=15))]),
}
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("reserve"),
            st.sets(st.sampled_from([ENDPOINT, ACCOUNT]), min_size=1),
            st.integers(1, 60),
            st.sampled_from(Lane),
        ),
        st.tuples(st.just("pass"), st.integers(0, 3_000_000)),
        st.tuples(
            st.just("pause"), st.sampled_from([ENDPOINT, ACCOUNT]), st.integers(1, 2_000_000), st.booleans()
        ),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), steps=STEPS)
def test_every_decision_matches_the_model(
    client: RedisClient, data: st.DataObject, steps: list[tuple[object, ...]]
) -> None:
    client.flushdb()
    clock, model = Clock(), Model()
    budgets = Budgets(client, interactive_share=SHARE, now=clock)
    for step in steps:
        match step:
            case ("reserve", set() as chosen, int() as cost, Lane() as lane):
                buckets = [(one, data.draw(RATES[one])) for one in sorted(chosen, key=str)]
                decision = budgets.reserve(buckets, cost, lane)
                expected = model.reserve(buckets, cost, lane, clock.now)
                assert decision.wait / timedelta(microseconds=1) == pytest.approx(ceil(expected), abs=2)
                assert bool(decision.wait) is (decision.bucket is not None)
            case ("pause", Bucket() as bucket, int() as micros, bool() as background_only):
                known = model.buckets.setdefault(bucket, ModelBucket())
                if background_only:
                    budgets.defer_background(bucket, timedelta(microseconds=micros))
                    known.bg_paused = clock.now + micros
                else:
                    budgets.pause(bucket, timedelta(microseconds=micros))
                    known.paused = max(known.paused, clock.now + micros)
            case ("pass", int() as micros):
                clock.now += micros


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=st.integers(1, 40), seconds=st.integers(1, 900), lane=st.sampled_from(Lane))
def test_no_interval_as_long_as_the_window_contains_more_calls_than_the_limit(
    client: RedisClient, calls: int, seconds: int, lane: Lane
) -> None:
    client.flushdb()
    clock = Clock()
    window = timedelta(seconds=seconds)
    budgets = Budgets(client, interactive_share=SHARE, now=clock)

    instants = reserve_for(budgets, clock, Rate(calls, window), 3 * window, lane)

    micros = window // timedelta(microseconds=1)
    assert all(later - first >= micros for first, later in zip(instants, instants[calls:], strict=False))
