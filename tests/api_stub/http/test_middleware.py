"""The middleware around a small application: slots, headers, errors and figures of each request."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import REGISTRY
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send
from structlog.testing import capture_logs

from api_stub.http import middleware
from api_stub.http.errors import ApiError, too_many, unavailable
from api_stub.http.middleware import RequestMiddleware

App = Callable[[Scope, Receive, Send], Awaitable[None]]
STATE = object()
END: Message = {"type": "http.request", "body": b"", "more_body": False}
PIECE: Message = {"type": "http.request", "body": b"x", "more_body": True}


def scope(method: str = "GET", path: str = "/here", headers: Any = (), **more: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": list(headers),
        "route": SimpleNamespace(path="/here"),
        **more,
    }


async def answers(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"fine"})


async def reads_a_body(_scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await answers(_scope, receive, send)


def raising(error: Exception, *, after_start: bool = False) -> App:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        if after_start:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise error

    return app


def ask(app: App | RequestMiddleware, request: dict[str, Any], *body: Message) -> list[Message]:
    """Send a request through the middleware and return the messages of its response."""
    sent: list[Message] = []
    left = [*body, END]

    async def receive() -> Message:
        return left.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    around = app if isinstance(app, RequestMiddleware) else RequestMiddleware(app, STATE)
    asyncio.run(around(request, receive, send))
    return sent


def status(messages: list[Message]) -> int:
    starts = [message["status"] for message in messages if message["type"] == "http.response.start"]
    (only,) = starts
    return int(only)


def headers(messages: list[Message]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in messages[0]["headers"]}


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"dravo_api_{name}", labels) or 0.0


def test_other_protocols_pass_unchanged() -> None:
    seen = []

    async def app(given: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(given)

    ask(app, {"type": "lifespan"})

    assert seen == [{"type": "lifespan"}]


def test_every_response_has_the_common_headers() -> None:
    seen = []

    async def app(given: Scope, receive: Receive, send: Send) -> None:
        seen.append(given["app"])
        await answers(given, receive, send)

    sent = headers(ask(app, scope(headers=[(b"x-request-id", b"Abc.1_-")])))

    assert sent == {
        "x-request-id": "Abc.1_-",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
    }
    assert seen == [STATE]


def test_cache_control_of_an_endpoint_stays() -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        given = [(b"cache-control", b"max-age=60")]
        await send({"type": "http.response.start", "status": 200, "headers": given})

    assert headers(ask(app, scope()))["cache-control"] == "max-age=60"


@pytest.mark.parametrize("given", [b"", b"a" * 65, b"a b", b"a\n", b"\xff"])
def test_malformed_request_id_is_replaced(given: bytes) -> None:
    sent = headers(ask(answers, scope(headers=[(b"x-request-id", given), (b"x-request-di", b"other")])))

    assert re.fullmatch("[0-9a-f]{16}", sent["x-request-id"])


def test_request_id_of_64_characters_is_used() -> None:
    assert headers(ask(answers, scope(headers=[(b"x-request-id", b"a" * 64)])))["x-request-id"] == "a" * 64


@pytest.mark.parametrize(
    ("error", "expected", "code", "logged"),
    [
        (ApiError(400, "wrong", "Wrong."), 400, "wrong", None),
        (ApiError(499, "odd", "Odd."), 499, "odd", None),
        (ApiError(500, "worse", "Worse."), 500, "worse", True),
        (ApiError(503, "away", "Away."), 503, "away", False),
        (HTTPException(404), 404, "not_found", None),
        (HTTPException(405, headers={"Allow": "GET"}), 405, "method_not_allowed", None),
        (HTTPException(418), 500, "internal", True),
        (RuntimeError("a secret"), 500, "internal", True),
    ],
)
def test_error_becomes_a_response_and_the_unexpected_is_logged_with_its_cause(
    error: Exception, expected: int, code: str, *, logged: bool | None
) -> None:
    with capture_logs() as logs:
        messages = ask(raising(error), scope())

    body = b"".join(message.get("body", b"") for message in messages).decode()
    request_id = headers(messages)["x-request-id"]
    assert (status(messages), f'"code":"{code}"' in body) == (expected, True)
    assert "secret" not in body
    assert (request_id in body) == (expected >= 500)
    assert headers(messages).get("allow") == ("GET" if expected == 405 else None)
    lines = [(line["event"], line["code"], line["path"], line["request_id"]) for line in logs]
    assert lines == ([("request_failed", code, "/here", request_id)] if expected >= 500 else [])
    assert [line["exc_info"] for line in logs] == [error if logged else None] * len(logs)


@pytest.mark.parametrize(("seconds", "shown"), [(0, "1"), (0.2, "1"), (1, "1"), (1.2, "2"), (60, "60")])
def test_wait_is_given_in_whole_seconds_and_never_too_short(seconds: float, shown: str) -> None:
    assert unavailable("away", "Away.", seconds).headers == {"Retry-After": shown}
    assert too_many("Too many.", seconds).headers == {"Retry-After": shown}


def test_error_after_the_start_of_a_response_sends_nothing_more() -> None:
    with capture_logs() as logs:
        messages = ask(raising(RuntimeError(), after_start=True), scope())

    assert len(messages) == 1
    assert [line["event"] for line in logs] == ["request_failed"]


@pytest.mark.parametrize(
    ("in_flight", "path", "expected"),
    [(2, "/here", 200), (3, "/here", 503), (3, "/healthz", 200), (3, "/metrics", 200), (3, "/readyz", 503)],
)
def test_requests_above_the_limit_are_refused_but_for_health_and_metrics(
    monkeypatch: pytest.MonkeyPatch, in_flight: int, path: str, expected: int
) -> None:
    monkeypatch.setattr(middleware, "MAX_IN_FLIGHT", 3)
    around = RequestMiddleware(answers, STATE)
    around.change_in_flight(in_flight)
    shed = metric("shed_total")

    assert status(ask(around, scope(path=path))) == expected

    assert metric("shed_total") == shed + (expected == 503)
    assert around.change_in_flight(0) == metric("in_flight") == in_flight, "its slot is released"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_request_without_a_body_has_its_slot_at_once(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    monkeypatch.setattr(middleware, "MAX_IN_FLIGHT", 0)

    assert status(ask(raising(RuntimeError("it was reached")), scope(method))) == 503


def test_request_with_a_body_has_its_slot_from_the_end_of_the_body_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(middleware, "MAX_IN_FLIGHT", 0)
    assert status(ask(reads_a_body, scope("POST"), PIECE, PIECE)) == 503
    assert status(ask(answers, scope("POST"), PIECE)) == 200, "it never ended its body"

    monkeypatch.setattr(middleware, "MAX_IN_FLIGHT", 1)
    around = RequestMiddleware(reads_a_body, STATE)
    assert status(ask(around, scope("POST"), PIECE)) == 200
    assert status(ask(around, scope("POST"))) == 200
    assert around.change_in_flight(0) == 0


def test_request_that_reads_its_end_twice_has_one_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "MAX_IN_FLIGHT", 1)

    async def app(given: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await receive()
        await answers(given, receive, send)

    assert status(ask(app, scope("POST"), END)) == 200


@pytest.mark.parametrize(("method", "label"), [("GET", "GET"), ("DELETE", "DELETE"), ("BREW", "other")])
def test_requests_are_counted_by_route_method_and_status(method: str, label: str) -> None:
    labels = {"route": "/here", "method": label, "status": "200"}
    unknown = labels | {"route": "unknown"}
    before = metric("requests_total", **labels), metric("requests_total", **unknown)

    ask(answers, scope(method))
    ask(answers, scope(method, route=None))

    assert metric("requests_total", **labels) == before[0] + 1
    assert metric("requests_total", **unknown) == before[1] + 1


def test_duration_is_measured_without_forced_refreshes() -> None:
    def measured(query: bytes) -> float:
        before = metric("request_seconds_count", route="/here")
        ask(answers, scope(query_string=query))
        return metric("request_seconds_count", route="/here") - before

    assert (measured(b"page=1"), measured(b"page=1&refresh=true")) == (1, 0)


def test_slow_body_holds_no_slot_until_its_end() -> None:
    in_flight = []

    async def app(given: Scope, receive: Receive, send: Send) -> None:
        for _ in range(2):
            await receive()
            in_flight.append(around.change_in_flight(0))
        await answers(given, receive, send)

    around = RequestMiddleware(app, STATE)
    ask(around, scope("POST"), PIECE)

    assert in_flight == [0, 1]


@pytest.mark.parametrize(
    ("given", "parent"), [((), None), (((b"x-other", b"1"), (b"traceparent", b"00-a-b-01")), "00-a-b-01")]
)
def test_span_of_a_request_continues_its_trace_and_holds_route_and_status(
    monkeypatch: pytest.MonkeyPatch, given: Any, parent: str | None
) -> None:
    spans: list[tuple[str, Any, dict[str, Any]]] = []

    @contextmanager
    def span(name: str, *, parent: str | None, request_id: str) -> Iterator[dict[str, Any]]:
        attributes: dict[str, Any] = {"request_id": request_id}
        spans.append((name, parent, attributes))
        yield attributes

    monkeypatch.setattr(middleware, "tracing", SimpleNamespace(span=span))

    request_id = headers(ask(answers, scope(headers=given)))["x-request-id"]

    expected = {"request_id": request_id, "route": "/here", "status": 200}
    assert spans == [("request", parent, expected)]
