"""Forced refreshes are limited for each caller: a burst of 60, then one a second."""

import pytest

from api_stub.http.errors import ApiError
from api_stub.refresh.throttle import ForcedRefreshLimit
from tests.api_stub.process_clock import ProcessClock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ProcessClock:
    made = ProcessClock()
    monkeypatch.setattr("api_stub.refresh.throttle.time.monotonic", made)
    return made


def admitted(limit: ForcedRefreshLimit, requests: int, subject: str = "key_1") -> int:
    """Make so many requests and return how many are admitted."""
    count = 0
    for _ in range(requests):
        try:
            limit.spend(subject)
        except ApiError:
            continue
        count += 1
    return count


def test_sixty_requests_are_admitted_at_once_and_one_a_second_afterwards(clock: ProcessClock) -> None:
    limit = ForcedRefreshLimit()

    assert admitted(limit, 100) == 60
    clock.now += 0.9
    assert admitted(limit, 100) == 0, "refused requests do not count"
    clock.now += 0.1
    assert admitted(limit, 100) == 1
    clock.now += 10
    assert admitted(limit, 100) == 10
    clock.now += 1_000
    assert admitted(limit, 100) == 60, "no more than a burst is saved up"


def test_refusal_says_when_the_next_request_is_admitted(clock: ProcessClock) -> None:
    limit = ForcedRefreshLimit()
    admitted(limit, 60)
    clock.now += 0.5

    with pytest.raises(ApiError) as refusal:
        limit.spend("key_1")

    assert refusal.value.status == 429
    assert dict(refusal.value.headers)["Retry-After"] == "1"


def test_callers_do_not_share_a_bucket(clock: ProcessClock) -> None:
    limit = ForcedRefreshLimit()
    admitted(limit, 60)
    clock.now += 0.5

    assert admitted(limit, 61, "key_2") == 60


def test_the_ten_thousand_latest_callers_are_remembered(clock: ProcessClock) -> None:
    limit = ForcedRefreshLimit()
    admitted(limit, 60, "first")
    for number in range(9_999):
        limit.spend(f"key_{number}")
    assert admitted(limit, 1, "first") == 0
    clock.now += 0.5
    limit.spend("one more")

    assert admitted(limit, 1, "first") == 0, "it was refused lately, which is a use"
    assert admitted(limit, 61, "key_0") == 60, "the caller of longest ago is forgotten"
