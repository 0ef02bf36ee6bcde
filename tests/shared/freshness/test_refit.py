"""Half-lives fitted to refreshes, and readers fitted to counted reads."""

import pytest

from shared.freshness.refit import Fitted, Pair, Readers, Reads, refit, refit_readers
from shared.freshness.rule import Prior, typical_reads


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


def counted(readers: Readers, number: int) -> list[Reads]:
    """Return the reads of posts of all ages whose readers come exactly at these rates."""
    prior = Prior(1.0, 0.1, reads_at_first=readers.at_first, reads_at_any_age=readers.at_any_age)
    ages = [720 * (place + 0.5) / number for place in range(number)]
    return [Reads(0.0, age, typical_reads(age, prior)) for age in ages]


PUBLISHED = Readers(4.0, 0.003)


@pytest.mark.parametrize("readers", [PUBLISHED, Readers(0.8, 0.03), Readers(40.0, 0.5)])
def test_reads_of_young_and_old_posts_give_both_rates(readers: Readers) -> None:
    assert refit_readers(counted(readers, 300), PUBLISHED, enough=0) == pytest.approx(readers, rel=1e-6)


def test_few_reads_stay_near_the_rates_that_were_believed() -> None:
    fitted = refit_readers(counted(Readers(1.0, 0.03), 30), PUBLISHED)

    assert fitted == pytest.approx((2.0, (0.003 * 0.03) ** 0.5), rel=1e-6)


def test_reads_that_no_two_rates_explain_give_positive_ones() -> None:
    only_young = [Reads(0.0, 10.0, 30.0), Reads(0.0, 700.0, 0.0)] * 100
    only_old = [Reads(0.0, 10.0, 0.0), Reads(0.0, 700.0, 30.0)] * 100

    for reads in (only_young, only_old):
        fitted = refit_readers(reads, PUBLISHED)
        assert fitted.at_first > 0
        assert fitted.at_any_age > 0


def test_reads_of_one_kind_of_posts_alone_change_nothing() -> None:
    assert refit_readers([Reads(0.0, 10.0, 3.0)] * 99, PUBLISHED) == PUBLISHED
    assert refit_readers([Reads(0.0, 10.0, 0.0), Reads(0.0, 99.0, 0.0)], PUBLISHED) == PUBLISHED
    assert refit_readers([], PUBLISHED) == PUBLISHED


def test_fit_of_an_older_version_keeps_the_believed_readers() -> None:
    assert Fitted(3.0, None, None).applied_to(Prior(1.0, 0.1)) == Prior(3.0, 0.1)
