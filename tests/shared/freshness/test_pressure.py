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


def second_month(demand: float, budget: float) -> tuple[float, int, float]:
    """Return the part of a month's budget that is spent, refused hours, and the factor near the end.

    ``demand``: calls an hour at a pressure of 1. The month before starts without any experience.
    """
    pressure, left, refused, factor = Pressure(), budget, 0, 1.0
    for hour in range(1440):
        if hour == 720:
            left, refused = budget, 0
        wanted = demand / pressure.factor
        calls = min(wanted, left)
        refused += wanted > left
        left -= calls
        factor = pressure.factor
        pressure = next_pressure(pressure, calls, left, 720 - (hour + 1) % 720)
    return 1 - left / budget, refused, factor


@pytest.mark.parametrize("budget", [1_000, 7_200, 72_000, 1_000_000])
def test_budget_is_spent_to_at_least_95_percent_without_a_refused_call(budget: float) -> None:
    spent, refused, _ = second_month(100, budget)

    assert 0.95 <= spent <= 1
    assert not refused


def test_free_budget_lowers_the_factor_to_its_least_and_a_small_one_raises_it() -> None:
    assert second_month(100, 1e8)[2] == LEAST
    assert second_month(100, 1_000)[2] > 30
