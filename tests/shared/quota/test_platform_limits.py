"""What a platform says of its own limits, and what of it is believed."""

from datetime import timedelta

import pytest

from shared.quota.budgets import GUARD_SHARE, Budgets
from shared.quota.limits import Rate
from shared.vocabulary import Lane
from tests.shared.quota.buckets import ACCOUNT, ENDPOINT, MINUTE, SHARE, START, Clock, take, taken_in


def test_nothing_remaining_parks_until_the_window_ends(budgets: Budgets, clock: Clock) -> None:
    budgets.tell(ACCOUNT, remaining=0, limit=5000, left=MINUTE)

    assert take(budgets, (ACCOUNT, Rate(5000, MINUTE))).wait == MINUTE
    clock.pass_(MINUTE)
    assert not take(budgets, (ACCOUNT, Rate(5000, MINUTE))).wait


@pytest.mark.parametrize("lane", Lane)
def test_no_more_is_taken_than_the_platform_says_remains(budgets: Budgets, clock: Clock, lane: Lane) -> None:
    budgets.tell(ENDPOINT, remaining=40, limit=100, left=MINUTE)

    instants = taken_in(budgets, clock, Rate(5000, MINUTE), MINUTE / 2, lane)

    allowed = 40 - GUARD_SHARE * 100 - (SHARE * 100 if lane is Lane.BACKGROUND else 0)
    assert 0.9 * allowed <= len(instants) <= allowed + 3


def test_a_window_that_is_followed_call_by_call_is_used_up_and_never_overdrawn(
    budgets: Budgets, clock: Clock
) -> None:
    """A platform with another limit and another window than published: 50 calls in 10 seconds."""
    length, limit, used = timedelta(seconds=10), 50, [0] * 6
    while (window := (clock.now - START) // 10_000_000) < len(used):
        decision = take(budgets, (ACCOUNT, Rate(5000, timedelta(minutes=15))))
        if decision.wait:
            clock.pass_(decision.wait)
            continue
        used[window] += 1
        left = length - timedelta(microseconds=(clock.now - START) % 10_000_000)
        budgets.tell(ACCOUNT, remaining=limit - used[window], limit=limit, left=left)

    assert all(0.95 * limit <= calls <= limit for calls in used), used


@pytest.mark.parametrize("lane", Lane)
def test_the_platforms_own_numbers_end_the_caution_for_an_unknown_bucket(
    budgets: Budgets, lane: Lane
) -> None:
    published = Rate(5000, timedelta(minutes=15))
    take(budgets, (ACCOUNT, published), lane=lane)
    budgets.tell(ACCOUNT, remaining=4999, limit=5000, left=timedelta(minutes=15))

    assert [take(budgets, (ACCOUNT, published), lane=lane).wait for _ in range(100)] == [timedelta()] * 100


@pytest.mark.parametrize("lane", Lane)
def test_a_faster_pace_within_a_window_leaves_nobody_owing_more_than_a_burst_of_its_own(
    budgets: Budgets, lane: Lane
) -> None:
    slow, fast = 200, 900
    budgets.tell(ACCOUNT, remaining=slow, limit=1000, left=MINUTE)
    while not take(budgets, (ACCOUNT, None), lane=lane).wait:
        pass

    budgets.tell(ACCOUNT, remaining=fast, limit=1000, left=MINUTE)

    usable = fast - GUARD_SHARE * 1000 - (SHARE * 1000 if lane is Lane.BACKGROUND else 0)
    one_call = MINUTE / 2 / usable
    assert timedelta() < take(budgets, (ACCOUNT, None), lane=lane).wait <= one_call * 1.01


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
def test_absurd_words_do_no_lasting_harm(
    budgets: Budgets, clock: Clock, remaining: int, limit: int | None, left: timedelta
) -> None:
    budgets.tell(ACCOUNT, remaining=remaining, limit=limit, left=left)

    clock.pass_(timedelta(seconds=1))
    assert take(budgets, (ACCOUNT, Rate(5000, MINUTE)), lane=Lane.BACKGROUND).wait < timedelta(seconds=1)
