"""Half-lives fitted to refreshes, and readers fitted to counted reads."""

import pytest

from shared.freshness.refit import Fitted, Pair, Readers, Reads, refit, refit_readers
from shared.freshness.rule import Prior, decreasing_hours, typical_reads


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
    assert refit(pairs(16.0, 10), believed=2.0) == pytest.approx(2 * 8 ** (10 / 210), rel=1e-4)


def test_unusable_refreshes_change_nothing() -> None:
    unusable = [Pair(0.0, 4.0, 5.0, 9.0), Pair(5.0, 0.0, 6.0, 4.0), Pair(6.0, 7.0, 6.0, 8.0)]

    assert refit(unusable, believed=3.0) == 3.0
    assert refit([*unusable, Pair(1.0, 1.0, 2.0, 9.0)], believed=3.0) != 3.0


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
    mostly_young = [Reads(0.0, 10.0, 30.0), Reads(0.0, 700.0, 30.0)] * 100
    only_old = [Reads(0.0, 10.0, 0.0), Reads(0.0, 700.0, 30.0)] * 100

    hours = decreasing_hours(10.0) + decreasing_hours(700.0)
    assert refit_readers(mostly_young, PUBLISHED, enough=0) == pytest.approx((60 / hours, 1e-4))
    assert refit_readers(only_old, PUBLISHED, enough=0) == pytest.approx((1e-4, 30 / 710))


def test_reads_before_the_first_counted_age_belong_to_no_rate() -> None:
    readers = Readers(2.0, 0.05)
    prior = Prior(1.0, 0.1, reads_at_first=readers.at_first, reads_at_any_age=readers.at_any_age)
    spans = [(3.0, 20.0), (10.0, 40.0), (30.0, 90.0), (200.0, 900.0)]
    later = [Reads(a, b, typical_reads(b, prior) - typical_reads(a, prior)) for a, b in spans]

    assert refit_readers(later, PUBLISHED, enough=0) == pytest.approx(readers, rel=1e-6)


def test_posts_are_young_up_to_two_days() -> None:
    readers = Readers(2.0, 0.05)
    prior = Prior(1.0, 0.1, reads_at_first=readers.at_first, reads_at_any_age=readers.at_any_age)
    reads = [Reads(0.0, age, typical_reads(age, prior)) for age in (47.9, 48.0)]

    assert refit_readers(reads, PUBLISHED, enough=0) == pytest.approx(readers, rel=1e-6)
    assert refit_readers(reads[:1] * 9, PUBLISHED) == PUBLISHED
    assert refit_readers(reads[1:] * 9, PUBLISHED) == PUBLISHED


def test_young_posts_whose_first_reads_are_unknown_do_not_separate_the_rates() -> None:
    reads = [Reads(40.0, 47.0, 1.0), Reads(0.0, 48.0, 9.0)]

    assert refit_readers(reads, PUBLISHED, enough=0) == pytest.approx((1e-4, 10 / 55))


def test_reads_of_no_time_or_of_a_time_before_the_post_are_left_out() -> None:
    usable = counted(Readers(2.0, 0.05), 30)
    unusable = [Reads(5.0, 5.0, 1e6), Reads(9.0, 8.0, 1e6), Reads(-1.0, 8.0, 1e6)]

    assert refit_readers([*unusable, *usable], PUBLISHED) == refit_readers(usable, PUBLISHED)


def test_reads_of_one_kind_of_posts_alone_change_nothing() -> None:
    assert refit_readers([Reads(0.0, 10.0, 3.0)] * 99, PUBLISHED) == PUBLISHED
    assert refit_readers([Reads(0.0, 10.0, 0.0), Reads(0.0, 99.0, 0.0)], PUBLISHED) == PUBLISHED
    assert refit_readers([], PUBLISHED) == PUBLISHED


def test_fit_of_an_older_version_keeps_the_believed_readers() -> None:
    assert Fitted(3.0, None, None).applied_to(Prior(1.0, 0.1)) == Prior(3.0, 0.1)
