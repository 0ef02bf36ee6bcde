"""The rule in plain numbers: values worked out by hand, and what holds for all numbers."""

import time
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.freshness.rule import (
    Prior,
    State,
    decreasing_hours,
    expected_error,
    grown_part,
    hours_after_signal,
    interval_of,
    next_interval,
    read_ages,
    typical_reads,
)

FACEBOOK = Prior(half_life=1.35, shortest=1 / 12)
LINKEDIN = Prior(half_life=24.3, shortest=1 / 4)

ages = st.floats(0, 20_000)
counts = st.floats(0, 1e9)
reads = st.floats(0, 1e5)
states = st.builds(State, ages, counts, counts, counts, reads, reads)
priors = st.builds(
    Prior, st.floats(0.1, 500), st.floats(0.05, 1), st.just(720.0), st.floats(1e-3, 1e3), st.floats(1e-4, 10)
)
pressures = st.floats(0.05, 200)


def test_first_refresh_at_ten_hours_matches_the_values_worked_out_by_hand() -> None:
    """Growth, reads, the steady interval, the slowing down and the hours, step by step.

    (1.35 / (10.1667 * 11.5167) + 0.00003) * 120 / 140 is 0.0099086; 4 * 6 ** -1.2 + 0.003 is 0.46888; the
    root of 0.05 / (0.0099086 * 0.46888) is 3.2805; (0.46588 / 0.46888 * 10 / 12 + 1 + 10.1667 / 11.5167) / 2
    is 1.35539; and 10.1667 * ((1 - 0.35539 * 3.2805 / 10.1667) ** (1 / -0.35539) - 1) is 4.1529.
    """
    interval = next_interval(10, 100, 0, None, FACEBOOK)

    assert interval.growth == pytest.approx(0.0099086, rel=1e-4)
    assert interval.read_rate == pytest.approx(0.46888, rel=1e-4)
    assert interval.hours == pytest.approx(4.1529, rel=1e-3)
    assert interval.state == State(10, 100)


def test_second_refresh_matches_the_values_worked_out_by_hand() -> None:
    """What was known is halved, and both ratios change the rates.

    Typical growth is 240 / (2.1667 / 3.5167 + 4.1667 / 5.5167) * (4.1667 / 5.5167 - 2.1667 / 3.5167),
    24.356; B is 6 / 2 + 24.356, A is 8 / 2 + 40, their ratio (4 + 44) / (4 + 27.356), 1.5308; the growth is
    (1.5308 * 1.35 / (4.1667 * 5.5167) + 0.00003) * 160 / 180, 0.079944. Typical reads are 40 * (2 ** -0.2 -
    3 ** -0.2) + 0.003 * 2, 2.7184; their ratio is (1 + 0.85 + 9) / (1 + 0.85 * 3 + 2.7184), 1.7308; the read
    rate is (4 * 3 ** -1.2 + 0.003) * 1.7308, 1.8576.
    """
    before = State(2, 100, observed=8, expected=6, reads=1, expected_reads=3)

    interval = next_interval(4, 140, 9, before, FACEBOOK, pressure=2)

    assert interval.state.observed == 44
    assert interval.state.expected == pytest.approx(27.356, rel=1e-4)
    assert interval.state.reads == pytest.approx(9.85)
    assert interval.state.expected_reads == pytest.approx(5.2684, rel=1e-4)
    assert interval.growth == pytest.approx(0.079944, rel=1e-3)
    assert interval.read_rate == pytest.approx(1.8576, rel=1e-3)


@pytest.mark.parametrize(
    ("age", "value", "half_life", "pressure", "hours"),
    [
        (0, 0, 1.35, 2, 0.16886),  # 0.13683 if nothing slowed down
        (0, 0, 1.35, 0.05, 1 / 12),  # never below the shortest
        (5_000, 10, 1.35, 1, 720.0),  # never above the longest
        (200, 50, 1.35, 50, 720.0),  # rates fall so fast that the integral is never reached
        (200, 50, 1.35, 3, 720.0),  # nor is 1.4 times what it can reach
    ],
)
def test_interval_is_bounded(
    age: float, value: float, half_life: float, pressure: float, hours: float
) -> None:
    interval = next_interval(age, value, 0, None, Prior(half_life, 1 / 12), pressure)

    assert interval.hours == pytest.approx(hours, rel=2e-3)


def test_slowing_of_exactly_one_is_the_limit_of_its_neighbours() -> None:
    # age / (age + 2) and (age + 1/6) / (age + 1/6 + half_life) add up to one at this half-life
    age = 4.0
    half_life = (age + 1 / 6) * age / 2
    prior = Prior(half_life, 0.0, reads_at_any_age=0.0)
    exact = next_interval(age, 100, 0, None, prior).hours
    below = next_interval(age, 100, 0, None, prior._replace(half_life=half_life * (1 - 1e-5))).hours
    above = next_interval(age, 100, 0, None, prior._replace(half_life=half_life * (1 + 1e-5))).hours

    assert below == pytest.approx(exact, rel=1e-4)
    assert above == pytest.approx(exact, rel=1e-4)


def test_reads_at_any_age_shorten_the_intervals_of_old_posts_most() -> None:
    steady = LINKEDIN._replace(reads_at_first=0.8, reads_at_any_age=0.03)

    young, old = (
        next_interval(age, 1000, 0, None, steady).hours / next_interval(age, 1000, 0, None, LINKEDIN).hours
        for age in (1.0, 500.0)
    )
    assert old < 0.6
    assert young > 1.5


def test_value_that_fell_counts_as_no_growth() -> None:
    before = State(5, 100, 10, 10)

    assert next_interval(6, 40, 0, before, LINKEDIN).state.observed == 5


def test_post_older_than_thirty_days_costs_at_most_three_calls_in_two_months() -> None:
    for half_life in (0.8, 1.35, 19.75, 24.3, 48.0):
        state, age, calls = None, 720.0, 0
        while age < 720 + 1440:
            interval = next_interval(age, 1000, 0, state, Prior(half_life, 1 / 12))
            state, age, calls = interval.state, age + interval.hours, calls + 1
        assert calls <= 3, half_life


@given(ages, counts, reads, st.none() | states, priors, pressures)
def test_interval_is_always_within_its_bounds(
    age: float, value: float, count: float, before: State | None, prior: Prior, pressure: float
) -> None:
    interval = next_interval(age, value, count, before, prior, pressure)

    assert prior.shortest <= interval.hours <= prior.longest
    assert 0 < interval.growth < inf
    assert 0 < interval.read_rate < inf


@given(ages, counts, reads, reads, states, priors)
def test_more_reads_never_lengthen_the_interval(
    age: float, value: float, fewer: float, more: float, before: State, prior: Prior
) -> None:
    fewer, more = sorted((fewer, more))

    less_read = next_interval(age, value, fewer, before, prior).hours
    assert next_interval(age, value, more, before, prior).hours <= less_read * (1 + 1e-9)


@given(ages, counts, states, priors, pressures, pressures)
def test_more_pressure_never_shortens_the_interval(
    age: float, value: float, before: State, prior: Prior, low: float, high: float
) -> None:
    low, high = sorted((low, high))

    relaxed = next_interval(age, value, 0, before, prior, low).hours
    assert relaxed <= next_interval(age, value, 0, before, prior, high).hours * (1 + 1e-9)


@given(ages, st.floats(1, 1e9), states, priors, st.floats(0, 1e9))
def test_more_observed_growth_never_lengthens_the_interval(
    age: float, value: float, before: State, prior: Prior, growth: float
) -> None:
    grown = before._replace(observed=before.observed + growth)

    slower = next_interval(age, value, 0, before, prior).hours
    assert next_interval(age, value, 0, grown, prior).hours <= slower * (1 + 1e-9)


def test_million_evaluations_take_less_than_twenty_seconds() -> None:
    before = State(10, 100, 5, 6, 1, 2)
    started = time.process_time()
    for _ in range(20_000):
        next_interval(12, 120, 3, before, FACEBOOK, 1.5)

    assert (time.process_time() - started) * 50 < 20


def test_signal_brings_the_next_refresh_forward_by_its_precision() -> None:
    state = State(200, 1000, 4, 4, 2, 2)
    planned = interval_of(state, LINKEDIN).hours

    hours = [hours_after_signal(210, state, LINKEDIN, precision) for precision in (0.9, 0.3, 0.01)]

    assert hours == sorted(hours)
    assert hours[0] < planned / 10
    assert hours[-1] < planned


def test_signal_without_precision_changes_nothing_but_the_beginning_of_the_interval() -> None:
    state = State(200, 1000, 4, 4, 2, 2)
    aged = interval_of(state._replace(age=210), LINKEDIN)

    steady = (0.05 / aged.growth / aged.read_rate) ** 0.5
    assert hours_after_signal(210, state, LINKEDIN, 0.0) == pytest.approx(steady)
    assert hours_after_signal(210, state, LINKEDIN, 0.9, pressure=1e6) == LINKEDIN.longest


@pytest.mark.parametrize("precision", [0.1, 0.5, 1.0])
def test_signal_adds_the_growth_and_the_readers_of_a_new_post_of_half_the_size(precision: float) -> None:
    """Growth 0.5 / (1 / 6 + 24.3) * 1020 / 1040 an hour and one read an hour, times the precision."""
    state = State(200, 1000, 40, 4, 2, 2)
    aged = interval_of(state._replace(age=210), LINKEDIN)

    growth = aged.growth + precision * 0.5 / (1 / 6 + 24.3) * 1020 / 1040
    hours = 1.5 * (0.05 / (growth * (aged.read_rate + precision))) ** 0.5
    assert hours_after_signal(210, state, LINKEDIN, precision, 1.5) == pytest.approx(hours)
    assert hours_after_signal(150, state, LINKEDIN, precision) == pytest.approx(
        hours_after_signal(200, state, LINKEDIN, precision)
    ), "an age before the last measurement is that of the measurement"


def test_readers_of_a_new_post_add_up_to_ten_hours_of_the_first_rate() -> None:
    prior = Prior(1.35, 1 / 12, reads_at_first=3.0, reads_at_any_age=0.5)

    assert decreasing_hours(0) == 0
    assert decreasing_hours(2) == pytest.approx(10 * (1 - 2**-0.2))
    assert decreasing_hours(62) == pytest.approx(10 * (1 - 32**-0.2))
    assert typical_reads(62, prior) == pytest.approx(3 * 5 + 0.5 * 62)


def test_ages_of_reads_stand_for_equally_many_reads_each() -> None:
    ages = read_ages(2.0, 62.0, 4)

    first, last = decreasing_hours(2.0), decreasing_hours(62.0)
    parts = [(decreasing_hours(age) - first) / (last - first) for age in ages]
    assert parts == pytest.approx([1 / 8, 3 / 8, 5 / 8, 7 / 8])


def test_grown_part_matches_the_values_worked_out_by_hand() -> None:
    """With a half-life of 2 hours a post has 1 / 2, 3 / 4 and 7 / 8 of its total at 2, 6 and 14 hours."""
    offset, prior = 1 / 6, Prior(2.0, 1 / 12)

    assert grown_part(2 - offset, 6 - offset, 14 - offset, prior) == pytest.approx(2 / 3)


def test_post_of_which_nothing_is_known_has_the_published_readers() -> None:
    assert Prior(1.0, 0.5) == (1.0, 0.5, 720.0, 4.0, 0.003)
    assert State(1.0, 2.0) == (1.0, 2.0, 0.0, 0.0, 0.0, 0.0)


def test_expected_error_matches_the_values_worked_out_by_hand() -> None:
    """Ten hours after a refresh at the age of ten hours, and at once.

    The ratio is (4 + 8) / (4 + 2), 2; a typical post grows by (20.1667 / 21.5167) / (10.1667 / 11.5167) - 1,
    0.061717; (2 * 0.061717 + 0.00003 * 10) * 120 / 140 is 0.10606, and 0.10606 / 1.10606 is 0.095891.
    """
    state = State(10, 100, observed=8, expected=2)

    assert expected_error(state, FACEBOOK, 10) == pytest.approx(0.095891, rel=1e-4)
    assert expected_error(state, FACEBOOK, 0) == 0
