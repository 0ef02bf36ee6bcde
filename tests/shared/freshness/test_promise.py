"""Expected errors, their classes, and how refreshes judge the reads before them."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from shared.freshness.promise import AGES, EDGES, Observed, error_class, judged, promised, share_within
from shared.freshness.rule import Prior, State, expected_error, read_ages

BEFORE = {"age": 10.0, "value": 100.0, "half_life": 20.0, "counted": 4}
PUBLISHED = datetime(2026, 6, 23, tzinfo=UTC)


def shown(value: float, age: float = 10.5, reads: int = 6) -> tuple[float, float]:
    """Return the reads that a refresh judges and those of them that were within 5 %."""
    classes = list(judged(BEFORE, {"age": age, "value": value, "counted": 4 + reads}))
    return sum(judged for _, judged, _ in classes), sum(within for _, _, within in classes)


def test_classes_differ_by_error_and_by_age() -> None:
    errors = (0.0, *(edge + 1e-6 for edge in EDGES))
    ages = (0.0, *AGES)

    assert len({error_class(error, age) for error in errors for age in ages}) == len(errors) * len(ages)
    assert [error_class(0.0, age) for age in (0, 23.9, 24, 167.9, 168, 9999)] == [
        100,
        100,
        200,
        200,
        300,
        300,
    ]
    assert [error_class(error, 1) for error in (0.0049, 0.005, 0.049, 0.05, 1.0)] == [100, 101, 106, 107, 114]
    assert min(error_class(error, 0.0) for error in errors) >= 100  # smaller ones have another meaning


def test_share_starts_with_the_simulation_and_follows_what_refreshes_have_shown() -> None:
    here, elsewhere = error_class(0.001, 5), error_class(0.001, 500)

    assert share_within(0.001, 5, {}) == 0.99
    assert share_within(0.001, 5, {here: Observed(985, 480)}) == pytest.approx((0.99 * 15 + 480) / 1000)
    assert share_within(0.001, 5, {elsewhere: Observed(985, 480)}) == 0.99
    assert share_within(0.9, 5, {}) < 0.5


def test_promise_rests_on_what_was_known_at_the_refresh() -> None:
    two_hours_later = PUBLISHED + timedelta(hours=12)
    expected = expected_error(State(10, 100), Prior(20, 0), 2)

    assert promised(BEFORE, PUBLISHED, two_hours_later, {}) == (expected, share_within(expected, 12, {}))
    assert promised(None, PUBLISHED, two_hours_later, {}) is None
    assert promised({"policy": "fixed:6h"}, PUBLISHED, two_hours_later, {}) is None


def test_each_read_since_the_refresh_before_is_judged() -> None:
    reads, within = shown(100)

    assert reads == pytest.approx(6.05)
    assert within == reads
    assert shown(100, reads=0)[0] == pytest.approx(0.05)


def test_each_read_is_judged_in_the_class_of_the_error_that_was_predicted_for_it() -> None:
    state, prior = State(10.0, 100.0), Prior(20.0, 0.0)

    classes = [one for one, _, _ in judged(BEFORE, {"age": 40.0, "value": 100.0, "counted": 9})]

    ages = read_ages(10.0, 40.0, 6)
    assert classes == [error_class(expected_error(state, prior, age - 10.0), age) for age in ages]
    assert len(set(classes)) > 3


def test_number_that_is_wrong_by_exactly_five_percent_is_within() -> None:
    classes = list(judged({**BEFORE, "value": 18.0}, {"age": 10.5, "value": 20.0, "counted": 9}))

    assert [within for _, _, within in classes] == [each for _, each, _ in classes]


def test_plan_of_an_older_version_has_counted_no_reads() -> None:
    uncounted = {name: value for name, value in BEFORE.items() if name != "counted"}
    after = {"age": 10.5, "value": 100.0}

    def reads(before: dict[str, float], after: dict[str, float]) -> float:
        return sum(each for _, each, _ in judged(before, after))

    assert reads(uncounted, after) == pytest.approx(0.05)
    assert reads(uncounted, {**after, "counted": 6}) == pytest.approx(6.05)
    assert reads({**BEFORE, "counted": 0}, after) == pytest.approx(0.05)


def test_reads_before_the_number_had_moved_by_five_percent_were_right() -> None:
    # up to 106 counts the error is at most 5 %, and a third of the reads came after that
    reads, within = shown(110)
    assert within == pytest.approx(reads * 4 / 6)
    assert shown(106)[1] == reads
    assert shown(300)[1] == 0
    assert shown(50)[1] < 0.5 * reads


def test_number_in_between_is_a_whole_count() -> None:
    before = {**BEFORE, "value": 1.0}

    # from 1 to 3: the error is 1 / 22 until the number is nearer to 3, where with 2.2 it would be 1.2 / 22.2
    classes = list(judged(before, {"age": 10.5, "value": 3.0, "counted": 10}))
    assert [within > 0 for _, _, within in classes] == [True] * 5 + [False]


def test_nothing_is_judged_without_two_measurements() -> None:
    assert not list(judged(None, BEFORE))
    assert not list(judged({"policy": "fixed:6h"}, BEFORE))
    assert not list(judged({"policy": "adaptive", "half_life": 20.0}, BEFORE))
    assert not list(judged({"age": 10.0, "value": 100.0}, {"age": 12.0, "value": 110.0}))
    assert not list(judged(BEFORE, None))
    assert not list(judged(BEFORE, {"age": 12.0, "counted": 9}))
    assert not list(judged(BEFORE, BEFORE))


def test_without_refreshes_each_class_has_its_simulated_share() -> None:
    middles = [(low + high) / 2 for low, high in pairwise((0.0, *EDGES, 1.0))]

    shares = [round(share_within(error, 5, {}), 6) for error in middles]

    assert shares == [0.99, 0.98, 0.98, 0.97, 0.97, 0.96, 0.87, 0.47, 0.27, 0.2, 0.2, 0.18, 0.16, 0.15, 0.2]


@pytest.mark.parametrize(
    "stored", [None, {}, {"policy": "fixed:6h"}, {"value": 3.0}, {"half_life": 3.0, "age": 1.0}]
)
def test_row_that_was_never_measured_promises_nothing(stored: dict[str, Any] | None) -> None:
    assert promised(stored, PUBLISHED, PUBLISHED + timedelta(hours=20), {}) is None


def test_expected_error_grows_from_the_age_of_the_last_measurement() -> None:
    errors = []
    for age in (9, 10, 15):
        promise = promised(BEFORE, PUBLISHED, PUBLISHED + timedelta(hours=age), {})
        assert promise
        errors.append(promise[0])

    assert errors == [0, 0, pytest.approx(expected_error(State(10.0, 100.0), Prior(20.0, 0.0), 5.0))]
