"""Logins are throttled for each client address: eight at once, then one every ten seconds."""

import pytest
from pydantic import SecretStr
from starlette.requests import Request

from api_stub.ops.authentication import LoginThrottle, OpsAuthenticator, Session
from shared.settings import Settings
from tests.api_stub.process_clock import ProcessClock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ProcessClock:
    made = ProcessClock()
    monkeypatch.setattr("api_stub.ops.authentication.time.monotonic", made)
    return made


def waits(throttle: LoginThrottle, logins: int, peer: str = "203.0.113.7") -> list[float]:
    return [throttle.spend(peer) for _ in range(logins)]


def test_eight_logins_are_allowed_at_once_and_one_every_ten_seconds(clock: ProcessClock) -> None:
    throttle = LoginThrottle()

    assert waits(throttle, 10) == [0] * 8 + [10, 10], "a refused login does not lengthen the wait"
    clock.now += 4
    assert waits(throttle, 1) == [6]
    clock.now += 6
    assert waits(throttle, 2) == [0, 10]
    clock.now += 10_000
    assert waits(throttle, 9) == [0] * 8 + [10]


def test_addresses_are_throttled_apart_and_a_success_forgets_one(clock: ProcessClock) -> None:
    throttle = LoginThrottle()
    assert waits(throttle, 9)[-1] == 10
    assert waits(throttle, 1, "203.0.113.8") == [0]

    throttle.reset("203.0.113.7")
    throttle.reset("203.0.113.9")

    assert waits(throttle, 9) == [0] * 8 + [10]
    assert clock.now == 1_000


def test_two_thousand_addresses_are_remembered_the_latest(clock: ProcessClock) -> None:
    throttle = LoginThrottle()
    waits(throttle, 8, "first")
    waits(throttle, 8, "second")
    for number in range(1_998):
        throttle.spend(f"peer {number}")
    assert waits(throttle, 1, "first") == [10], "and now it is the latest"

    throttle.spend("one more")

    assert waits(throttle, 1, "second") == [0], "it is forgotten"
    assert waits(throttle, 1, "first") == [10]
    assert clock.now == 1_000


def test_operator_who_logs_in_often_is_not_throttled_and_gets_another_csrf_token_each_time(
    clock: ProcessClock,
) -> None:
    token = "token of the operators of the tests"
    authenticator = OpsAuthenticator(Settings(ops_token=SecretStr(token)))
    request = Request({"type": "http", "client": ("203.0.113.7", 1), "headers": []})

    sessions = [authenticator.log_in(request, token, "Anna") for _ in range(20)]

    opened = [one for one in sessions if isinstance(one, Session)]
    assert len(opened) == 20
    assert len({one.csrf for one in opened}) == len({one.session_id for one in opened}) == 20
    assert min(len(one.csrf) for one in opened) >= 32
    assert clock.now == 1_000
