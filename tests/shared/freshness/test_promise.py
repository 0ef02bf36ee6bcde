"""Expected errors, their bins, and how refreshes judge a prediction."""

import pytest

from shared.freshness.promise import EDGES, Observed, error_bin, judged, share_within

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
