"""Half-lives fitted to refreshes."""

import pytest

from shared.freshness.refit import Pair, refit


def pairs(half_life: float, number: int) -> list[Pair]:
    """Return refreshes of large posts that grow exactly with this half-life."""
    ages = [0.5 * 1.3**step for step in range(20)]
    values = [1e6 * age / (age + half_life) for age in ages]
    steps = [
        Pair(before, first, after, second)
        for before, first, after, second in zip(ages, values, ages[1:], values[1:], strict=False)
    ]
    return [steps[place % len(steps)] for place in range(number)]


@pytest.mark.parametrize("half_life", [0.8, 15.0, 200.0])
def test_many_refreshes_give_their_half_life_whatever_was_believed(half_life: float) -> None:
    assert refit(pairs(half_life, 19), half_life * 11, enough=0) == pytest.approx(half_life, rel=1e-3)


def test_few_refreshes_stay_near_what_was_believed() -> None:
    assert refit(pairs(16.0, 10), believed=1.0) == pytest.approx(16 ** (10 / 210), rel=1e-3)


def test_unusable_refreshes_change_nothing() -> None:
    unusable = [Pair(0.0, 0.0, 5.0, 9.0), Pair(5.0, 0.0, 6.0, 4.0), Pair(6.0, 7.0, 6.0, 8.0)]

    assert refit(unusable, believed=3.0) == 3.0


def test_value_that_fell_is_no_growth() -> None:
    assert refit([Pair(5.0, 100.0, 10.0, 50.0)] * 1000, believed=3.0) < 0.1


def test_half_life_is_fitted_from_a_minute_to_ten_thousand_hours() -> None:
    doubled = [Pair(1.0, 1e9, 1.001, 2e9)]
    same = [Pair(1.0, 1e9, 2.0, 1e9)]

    assert refit(doubled, believed=5.0, enough=0) == pytest.approx(10_000, rel=1e-6)
    assert refit(same, believed=5.0, enough=0) == pytest.approx(1 / 60, rel=1e-6)
