"""Expected errors, their bins, and how refreshes judge a prediction."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.freshness.promise import EDGES, Observed, error_bin, expected_at, judged, share_within
from shared.freshness.rule import Prior, State, expected_error

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)

BEFORE = {"age": 10.0, "value": 100.0, "half_life": 20.0}


def test_bins_cover_every_error() -> None:
    assert [error_bin(0.0), error_bin(0.049), error_bin(0.05), error_bin(1.0)] == [0, 6, 7, len(EDGES)]


def test_share_starts_with_the_simulation_and_follows_the_observed_refreshes() -> None:
    assert share_within(0.001, {}) == 0.99
    assert share_within(0.001, {0: Observed(950, 475)}) == pytest.approx((49.5 + 475) / 1000)
    assert share_within(0.001, {1: Observed(950, 475)}) == 0.99
    assert share_within(0.9, {}) < 0.5


@pytest.mark.parametrize(("value", "within"), [(100.0, True), (106.0, True), (107.0, False), (50.0, False)])
def test_refresh_shows_whether_the_error_was_at_most_five_percent(value: float, within: bool) -> None:
    judgement = judged(BEFORE, {"age": 10.5, "value": value})

    assert judgement is not None
    assert judgement == (error_bin(0.022), within)


def test_nothing_is_judged_without_two_measurements() -> None:
    assert judged(None, BEFORE) is None
    assert judged({"policy": "fixed:6h"}, BEFORE) is None
    assert judged(BEFORE, None) is None
    assert judged(BEFORE, BEFORE) is None


def test_without_refreshes_each_bin_has_its_simulated_share() -> None:
    expected = [
        0.001,
        0.006,
        0.012,
        0.017,
        0.025,
        0.035,
        0.045,
        0.055,
        0.07,
        0.09,
        0.12,
        0.17,
        0.25,
        0.4,
        0.7,
    ]

    shares = [round(share_within(error, {}), 6) for error in expected]

    assert shares == [0.99, 0.98, 0.98, 0.97, 0.97, 0.96, 0.87, 0.47, 0.27, 0.2, 0.2, 0.18, 0.16, 0.15, 0.2]


@pytest.mark.parametrize(
    "stored", [None, {}, {"policy": "fixed:6h"}, {"value": 3.0}, {"half_life": 3.0, "age": 1.0}]
)
def test_error_of_a_row_that_was_never_measured_is_unknown(stored: dict[str, Any] | None) -> None:
    assert expected_at(stored, NOW - 20 * HOUR, NOW) is None


def test_expected_error_grows_from_the_age_of_the_last_measurement() -> None:
    rule = expected_error(State(10.0, 100.0), Prior(20.0, 0.0), 5.0)

    assert expected_at(BEFORE, NOW - 15 * HOUR, NOW) == pytest.approx(rule)
    assert expected_at(BEFORE, NOW - 10 * HOUR, NOW) == 0
    assert expected_at(BEFORE, NOW - 9 * HOUR, NOW) == 0
