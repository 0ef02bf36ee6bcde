"""Signals: their precision, and how far they bring a refresh forward."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.freshness.rule import Prior
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


def test_precisions_are_settings_by_kind() -> None:
    assert parse_precisions("") == PRECISIONS
    assert parse_precisions("push=0.7, read=1") == {
        **PRECISIONS,
        SignalSource.PUSH: 0.7,
        SignalSource.READ: 1.0,
    }


@pytest.mark.parametrize("text", ["push", "push=2", "push=-1", "rumour=0.5", "push=0.5;read=0"])
def test_malformed_precision_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        parse_precisions(text)
