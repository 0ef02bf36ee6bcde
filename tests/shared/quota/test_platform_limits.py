"""Limits that a platform reports in its answers update the budgets."""

from datetime import timedelta

import pytest

from shared.quota.budgets import GUARD_SHARE, Budgets
from shared.quota.limits import Rate
from shared.vocabulary import Lane
from tests.shared.quota.buckets import ACCOUNT, ENDPOINT, MINUTE, SHARE, START, Clock, reserve, reserve_for


def test_no_remaining_calls_pause_the_bucket_until_the_window_ends(budgets: Budgets, clock: Clock) -> None:
    budgets.update(ACCOUNT, remaining=0, limit=5000, left=MINUTE)

    assert reserve(budgets, (ACCOUNT, Rate(5000, MINUTE))).wait == MINUTE
    clock.advance(MINUTE)
    assert not reserve(budgets, (ACCOUNT, Rate(5000, MINUTE))).wait


@pytest.mark.parametrize("lane", Lane)
def test_no_more_calls_are_reserved_than_the_platform_reports_as_remaining(
    budgets: Budgets, clock: Clock, lane: Lane
) -> None:
    budgets.update(ENDPOINT, remaining=40, limit=100, left=MINUTE)

    instants = reserve_for(budgets, clock, Rate(5000, MINUTE), MINUTE / 2, lane)

    allowed = 40 - GUARD_SHARE * 100 - (SHARE * 100 if lane is Lane.BACKGROUND else 0)
    assert 0.9 * allowed <= len(instants) <= allowed + 3


def test_window_reported_with_each_call_is_used_up_and_never_overdrawn(
    budgets: Budgets, clock: Clock
) -> None:
    """A platform with another limit and another window than published: 50 calls in 10 seconds."""
    length, limit, used = timedelta(seconds=10), 50, [0] * 6
    while (window := (clock.now - START) // 10_000_000) < len(used):
        decision = reserve(budgets, (ACCOUNT, Rate(5000, timedelta(minutes=15))))
        if decision.wait:
            clock.advance(decision.wait)
            continue
        used[window] += 1
        left = length - timedelta(microseconds=(clock.now - START) % 10_000_000)
        budgets.update(ACCOUNT, remaining=limit - used[window], limit=limit, left=left)

    assert all(0.95 * limit <= calls <= limit for calls in used), used


@pytest.mark.parametrize("lane", Lane)
def test_reported_numbers_replace_the_small_initial_burst(budgets: Budgets, lane: Lane) -> None:
    published = Rate(5000, timedelta(minutes=15))
    reserve(budgets, (ACCOUNT, published), lane=lane)
    budgets.update(ACCOUNT, remaining=4999, limit=5000, left=timedelta(minutes=15))

    assert [reserve(budgets, (ACCOUNT, published), lane=lane).wait for _ in range(100)] == [timedelta()] * 100


@pytest.mark.parametrize("lane", Lane)
def test_faster_reported_pace_limits_debt_to_one_burst(budgets: Budgets, lane: Lane) -> None:
    slow, fast = 200, 900
    budgets.update(ACCOUNT, remaining=slow, limit=1000, left=MINUTE)
    while not reserve(budgets, (ACCOUNT, None), lane=lane).wait:
        pass

    budgets.update(ACCOUNT, remaining=fast, limit=1000, left=MINUTE)

    usable = fast - GUARD_SHARE * 1000 - (SHARE * 1000 if lane is Lane.BACKGROUND else 0)
    one_call = MINUTE / 2 / usable
    assert timedelta() < reserve(budgets, (ACCOUNT, None), lane=lane).wait <= one_call * 1.01


@pytest.mark.parametrize(
    ("remaining", "limit", "left"),
    [
        (10, 100, timedelta(seconds=-5)),
        (0, 100, timedelta()),
        (0, 100, timedelta(days=400)),
        (10**12, None, timedelta(seconds=1)),
        (10**12, 1, timedelta(hours=25)),
        (5, 10**12, timedelta(microseconds=1)),
    ],
)
def test_absurd_reported_numbers_have_no_lasting_effect(
    budgets: Budgets, clock: Clock, remaining: int, limit: int | None, left: timedelta
) -> None:
    budgets.update(ACCOUNT, remaining=remaining, limit=limit, left=left)

    clock.advance(timedelta(seconds=1))
    assert reserve(budgets, (ACCOUNT, Rate(5000, MINUTE)), lane=Lane.BACKGROUND).wait < timedelta(seconds=1)
