"""How many signals a platform may send, and how long their bodies may take."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from sqlalchemy import Engine
from starlette.requests import Request
from starlette.types import Message

from api_stub.events import endpoint as events
from api_stub.http.errors import ApiError
from api_stub.signals import endpoint
from api_stub.signals.endpoint import Receiver
from shared.settings import Settings
from shared.vocabulary import Platform
from tests.api_stub.process_clock import ProcessClock
from tests.api_stub.support import Api, api


async def _end() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


def request() -> Request:
    return Request({"type": "http", "headers": []}, _end)


def test_each_platform_has_a_burst_and_a_rate_that_idle_time_does_not_save_up() -> None:
    clock = ProcessClock()
    receiver = Receiver(Settings(), cast(Engine, None), clock)
    refused: set[tuple[int, str]] = set()

    async def accepted(platform: Platform, number: int) -> int:
        count = 0
        for _ in range(number):
            try:
                await receiver.body(request(), platform)
                count += 1
            except ApiError as error:
                refused.add((error.status, error.headers["Retry-After"]))
        return count

    async def scenario() -> None:
        assert await accepted(Platform.X, 300) == 200
        assert await accepted(Platform.TIKTOK, 300) == 200, "platforms do not share a bucket"
        clock.now += 1.001
        assert await accepted(Platform.X, 100) == 50
        clock.now += 3_600
        assert await accepted(Platform.X, 300) in {199, 200}  # its floats are rounded

    asyncio.run(scenario())
    assert refused == {(429, "1")}


def test_bodies_of_machines_have_some_seconds(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < endpoint.BODY_SECONDS <= events.BODY_SECONDS <= 30
    for module in (endpoint, events):
        monkeypatch.setattr(module, "BODY_SECONDS", 0.05)
    token = "internal-token-of-the-tests-long-enough"

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    def status(running: Api, path: str) -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        answer = running.run(running.client.post(path, content=slow(), headers=headers))
        return answer.status_code, answer.json()["error"]["code"]

    secrets = {
        "internal_token": token,
        "x_consumer_secret": "secret-of-x",
        "meta_app_secret": "secret-of-meta",
    }
    with api(database_url, **secrets) as running:
        for path in ("/platforms/x/webhook", "/internal/events"):
            assert status(running, path) == (408, "body_too_slow")
        unset = running.get(
            "/platforms/facebook/webhook?hub.mode=subscribe&hub.challenge=1&hub.verify_token="
        )
        assert unset.status_code == 401, "no verify token is set"


def test_stored_signals_are_applied_when_they_come_and_now_and_then(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    applied: list[int] = []
    again = threading.Event()

    def apply(*_: object) -> None:
        applied.append(1)
        if len(applied) == 3:
            again.set()

    monkeypatch.setattr(endpoint, "process_all", apply)
    with api(database_url) as running:
        receiver = running.service.receiver
        running.run(receiver.accept(Platform.X, []))
        for _ in range(20):
            running.get("/readyz")
        assert len(applied) <= 1, "once for what was stored"
        monkeypatch.setattr(endpoint, "PROCESS_EVERY", 0.01)
        running.run(receiver.accept(Platform.X, []))
        assert running.run(asyncio.to_thread(again.wait, 30)), "what another process has stored"
