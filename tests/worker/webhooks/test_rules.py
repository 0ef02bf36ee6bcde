"""What an answer means for an endpoint: tables without a database."""

import random
from datetime import timedelta

import pytest

from worker.webhooks.claims import Claim, Places
from worker.webhooks.rules import Answer, DeliveryOutcome, Progress, after_failure, after_success, wait

SECOND = timedelta(seconds=1)
REFUSED = Answer(DeliveryOutcome.REFUSED, 1.0, 500)
TOO_LARGE = Answer(DeliveryOutcome.REFUSED, 1.0, 413)


@pytest.fixture(autouse=True)
def longest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every jitter its upper bound."""
    monkeypatch.setattr(random, "uniform", lambda _low, high: high)


@pytest.mark.parametrize(
    ("refused_alone", "tries"),
    [(0, False), (2, False), (3, True), (4, False), (5, True), (6, False), (9, True)],
)
def test_successor_of_a_refused_row_is_tried_after_three_refusals_and_every_second_one(
    refused_alone: int, *, tries: bool
) -> None:
    progress = Progress(rows_allowed=8, refused_alone=refused_alone)

    assert (progress.tries_successor, progress.rows) == (tries, 1 if tries else 8)


@pytest.mark.parametrize(("allowed", "most", "rows"), [(50, 50, 50), (1, 50, 1), (50, 6, 6), (4, 4, 4)])
def test_delivery_holds_no_more_rows_than_both_bounds_allow(allowed: int, most: int, rows: int) -> None:
    assert Progress(rows_allowed=allowed, most_rows=most).rows == rows


@pytest.mark.parametrize(("before", "after"), [(1, 2), (16, 32), (32, 50), (50, 50)])
def test_success_doubles_what_is_allowed_and_forgets_failures(before: int, after: int) -> None:
    assert after_success(Progress(4, before, 12, 3)) == Progress(0, after, 12, 0)


@pytest.mark.parametrize(
    ("answer", "rows", "after", "seconds"),
    [
        (TOO_LARGE, 50, Progress(2, 25, 25, 1), 1),
        (TOO_LARGE, 3, Progress(2, 1, 1, 1), 1),
        (TOO_LARGE, 2, Progress(2, 1, 1, 1), 1),
        (TOO_LARGE, 1, Progress(3, 1, 40, 2), 150),
        (TOO_LARGE, 0, Progress(3, 1, 40, 1), 150),
        (REFUSED, 1, Progress(3, 1, 40, 2), 150),
        (REFUSED, 9, Progress(3, 1, 40, 1), 150),
        (Answer(DeliveryOutcome.TIMEOUT, 15.0), 1, Progress(3, 1, 40, 1), 150),
        (Answer(DeliveryOutcome.GONE, 1.0, 410), 1, Progress(3, 1, 40, 1), 150),
        (Answer(DeliveryOutcome.REFUSED, 1.0, 429, retry_after=600 * SECOND), 9, Progress(3, 1, 40, 1), 600),
    ],
)
def test_failure_leaves_one_row_and_a_wait(answer: Answer, rows: int, after: Progress, seconds: int) -> None:
    assert after_failure(Progress(2, 16, 40, 1), answer, rows) == (after, seconds * SECOND)


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(1, 5), (2, 30), (3, 120), (4, 300), (5, 900), (6, 1_800), (7, 3_600), (8, 3_600), (900, 3_600)],
)
def test_wait_grows_with_the_failures_to_an_hour(failures: int, seconds: int) -> None:
    assert wait(failures, None) == seconds * 1.25 * SECOND
    assert wait(failures, 0 * SECOND) == seconds * 1.25 * SECOND
    assert wait(failures, timedelta(days=1)) == max(3_600 * SECOND, seconds * 1.25 * SECOND)


def test_released_place_of_a_slow_endpoint_can_be_taken_again() -> None:
    places = Places(4)
    slow = Claim("e", "ws_1", 1, "h1", slow=True)
    assert places.take("ws_1", "h1", slow=True)
    assert (places.free, places.slow_free) == (3, 0)
    assert not places.take("ws_2", "h2", slow=True)

    places.release(slow)

    assert (places.free, places.slow_free, places.full_workspaces, places.full_hosts) == (4, 1, [], [])
    assert places.take("ws_2", "h2", slow=True)


def test_sender_of_few_places_has_one_for_slow_endpoints() -> None:
    assert [Places(number).slow_free for number in (1, 3, 4, 8, 9)] == [1, 1, 1, 2, 2]


def test_released_place_is_one_of_those_of_its_workspace_and_host() -> None:
    places = Places(64)
    for number in range(4):
        assert places.take("ws_1", f"h{number}", slow=False)
        assert places.take(f"ws_{number + 2}", "one.example", slow=False)

    places.release(Claim("e", "ws_1", 1, "h0", slow=False))
    places.release(Claim("e", "ws_2", 1, "one.example", slow=False))

    assert places.free == 64 - 6
    assert [places.take("ws_1", f"g{number}", slow=False) for number in range(2)] == [True, False]
    assert [places.take(f"w{number}", "one.example", slow=False) for number in range(2)] == [True, False]
