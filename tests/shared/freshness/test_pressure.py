"""Quota pressure: how it follows the calls that a budget has left."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.freshness.pressure import LEAST, MOST, Pressure, next_pressure

positive = st.floats(0, 1e9)


def test_hour_on_target_keeps_the_factor() -> None:
    # 95 % of 1000 calls over ten hours are 95 an hour
    assert next_pressure(Pressure(3.0, 95.0), 95.0, 1000.0, 10.0).factor == pytest.approx(3.0)


def test_sixteen_times_too_many_calls_double_the_factor() -> None:
    after = next_pressure(Pressure(1.0, 1520.0), 1520.0, 1000.0, 10.0)

    assert after == pytest.approx((2.0, 1520.0))


def test_last_hour_counts_a_fifth() -> None:
    assert next_pressure(Pressure(1.0, 100.0), 200.0, 1000.0, 10.0).calls_per_hour == pytest.approx(120.0)


def test_exhausted_budget_raises_the_factor() -> None:
    assert next_pressure(Pressure(1.0, 100.0), 100.0, 0.0, 5.0).factor > 3


def test_paid_calls_are_never_made_faster_than_designed() -> None:
    assert next_pressure(Pressure(1.0, 1.0), 1.0, 1e6, 10.0).factor < 1
    assert next_pressure(Pressure(1.0, 1.0), 1.0, 1e6, 10.0, paid=True).factor == 1


@given(st.floats(LEAST, MOST), positive, positive, positive, st.floats(0, 1000))
def test_factor_stays_within_its_bounds(
    factor: float, average: float, calls: float, left: float, hours: float
) -> None:
    after = next_pressure(Pressure(factor, average), calls, left, hours)

    assert LEAST <= after.factor <= MOST


def test_new_budget_is_under_no_pressure_and_no_pressure_exceeds_two_hundred() -> None:
    assert Pressure() == (1.0, 0.0)
    assert next_pressure(Pressure(199.0, 1e9), 1e9, 0.0, 1.0).factor == 200.0
    assert next_pressure(Pressure(0.06, 0.0), 0.0, 1e9, 1.0).factor == 0.05
