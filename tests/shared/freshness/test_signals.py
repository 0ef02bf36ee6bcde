"""Signals: their precision, and how far they bring a refresh forward."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.freshness.rule import Prior, State, hours_after_signal
from shared.freshness.signals import (
    PRECISIONS,
    SignalSource,
    due_by,
    grows_again,
    is_planned,
    parse_precisions,
)

PUBLISHED = datetime(2026, 6, 1, tzinfo=UTC)
NOW = PUBLISHED + timedelta(hours=210)
BOUNDS = Prior(24.3, 0.25)
STORED: dict[str, Any] = {
    "policy": "adaptive",
    "age": 200.0,
    "value": 1000.0,
    "observed": 8.0,
    "expected": 8.0,
    "half_life": 24.3,
    "pressure": 1.0,
}


def test_more_precise_signal_is_answered_sooner_and_never_at_once() -> None:
    instants = [due_by(STORED, PUBLISHED, NOW, precision, BOUNDS) for precision in (1.0, 0.5, 0.1)]

    assert instants == sorted(instants)
    assert instants[0] >= NOW + timedelta(hours=BOUNDS.shortest)
    assert instants[0] < NOW + timedelta(hours=5) < instants[2]


def test_scarce_calls_are_not_spent_on_a_signal() -> None:
    scarce = {**STORED, "pressure": 20.0}

    assert due_by(scarce, PUBLISHED, NOW, 0.5, BOUNDS) > NOW + timedelta(hours=20)


def test_only_rows_that_the_rule_planned_can_weigh_a_signal() -> None:
    assert is_planned(STORED)
    assert not is_planned(None)
    assert not is_planned({"policy": "adaptive"})
    assert not is_planned({**STORED, "policy": "fixed:6h"})


@pytest.mark.parametrize("age", [150, 210])
def test_answer_to_a_signal_rests_on_what_the_last_plan_left(age: int) -> None:
    state, prior = State(200, 1000, 8, 8), Prior(24.3, 0.25)
    hours = hours_after_signal(max(age, 200), state, prior, 0.5, 3.0)
    now = PUBLISHED + timedelta(hours=age)

    assert due_by({**STORED, "pressure": 3.0}, PUBLISHED, now, 0.5, BOUNDS) == now + timedelta(hours=hours)


def test_answer_to_a_signal_stays_within_the_intervals_of_the_platform() -> None:
    patient, eager = Prior(1.0, 40.0, 50.0), Prior(1.0, 0.1, 0.2)

    assert due_by(STORED, PUBLISHED, NOW, 1.0, patient) == NOW + timedelta(hours=40)
    assert due_by(STORED, PUBLISHED, NOW, 0.0, eager) == NOW + timedelta(hours=0.2)


@pytest.mark.parametrize(
    ("value", "observed", "grown"), [(1015.0, 8.0, False), (1150.0, 8.0, True), (1150.0, 800.0, False)]
)
def test_post_grows_again_when_it_grows_far_more_than_it_used_to(
    value: float,
    observed: float,
    grown: bool,
) -> None:
    before = {**STORED, "observed": observed}
    after = {**STORED, "age": 210.0, "value": value, "expected": 8.0 / 2 + 10}

    assert grows_again(before, after) is grown
    assert not grows_again(None, after)


@pytest.mark.parametrize(
    ("value_before", "value", "expected", "grown"),
    [
        (1000.0, 1120.0, 40.0, False),  # three times the expected growth
        (1000.0, 1121.0, 40.0, True),
        (900.0, 1000.0, 0.0, False),  # a tenth of the number
        (900.0, 1001.0, 0.0, True),
    ],
)
def test_growth_is_compared_with_the_expected_one_and_with_the_number(
    value_before: float, value: float, expected: float, grown: bool
) -> None:
    before = {**STORED, "value": value_before}
    after = {**STORED, "value": value, "expected": 8.0 / 2 + expected}

    assert grows_again(before, after) is grown


def test_growth_is_judged_only_between_two_measurements_of_the_rule() -> None:
    after = {**STORED, "value": 2000.0, "expected": 8.0 / 2 + 10}

    assert grows_again(STORED, after)
    for unplanned in (None, {}, {"policy": "adaptive"}):
        assert not grows_again(unplanned, after)
        assert not grows_again(STORED, unplanned)
    assert not grows_again({**STORED, "policy": "fixed:6h"}, after)
    assert not grows_again(STORED, {**after, "policy": "fixed:6h"})


def test_precisions_are_settings_by_kind() -> None:
    assert parse_precisions("") == PRECISIONS
    assert PRECISIONS == {SignalSource.PUSH: 0.5, SignalSource.READ: 0.0, SignalSource.SIBLING: 0.2}
    assert parse_precisions("push=0.7, read=1") == {
        **PRECISIONS,
        SignalSource.PUSH: 0.7,
        SignalSource.READ: 1.0,
    }


@pytest.mark.parametrize("text", ["push", "push=2", "push=-1", "rumour=0.5", "push=0.5;read=0"])
def test_malformed_precision_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        parse_precisions(text)
