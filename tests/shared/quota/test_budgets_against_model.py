"""The scripts against a model of them in Python."""

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
from tests.shared.quota.buckets import ACCOUNT, ENDPOINT, MINUTE, SHARE, Clock, taken_in


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
                known = model.buckets.setdefault(bucket, Modelled())
                if background_only:
                    budgets.defer_background(bucket, timedelta(microseconds=micros))
                    known.bg_parked = clock.now + micros
                else:
                    budgets.park(bucket, timedelta(microseconds=micros))
                    known.parked = max(known.parked, clock.now + micros)
            case ("pass", int() as micros):
                clock.now += micros


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=st.integers(1, 40), seconds=st.integers(1, 900), lane=st.sampled_from(Lane))
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
