"""The middleware of every request: a request id, a limit of requests in flight, error responses."""

import re
import secrets
import time
from typing import Any, Final

import structlog
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api_stub.http import metrics
from api_stub.http.errors import ApiError, error_response, unavailable
from shared.observability import tracing

MAX_IN_FLIGHT: Final = 2_048
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_NEVER_SHED: Final = frozenset({"/healthz", "/metrics"})
"""Paths that are answered however many requests are in flight."""
_WITHOUT_BODY: Final = frozenset({"GET", "HEAD"})
"""Methods whose endpoints read no body: their requests count as in flight at once."""
_log = structlog.get_logger(__name__)


class RequestMiddleware:
    """ASGI middleware around the whole application; it counts and bounds the requests in flight."""

    def __init__(self, app: ASGIApp, state: object) -> None:
        self._app = app
        self._state = state
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, also when an endpoint raises."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["app"] = self._state  # what `Request.app` gives the endpoints
        writer = _ResponseWriter(scope, send)
        slot = _InFlightSlot(self, scope, receive)
        try:
            if scope["method"] in _WITHOUT_BODY:
                slot.acquire()
            parent, request_id = _traceparent(scope), writer.request_id
            with tracing.span("request", parent=parent, request_id=request_id) as attributes:
                await self._app(scope, slot.receive, writer.send)
                attributes |= writer.span_attributes
        except Exception as error:  # noqa: BLE001 - no caller may see our internals, whatever was raised
            await writer.send_error(error, receive)
        finally:
            slot.release()
            writer.count()

    def change_in_flight(self, change: int) -> int:
        """Add ``change`` to the number of requests in flight and return the new number."""
        self._in_flight += change
        metrics.IN_FLIGHT.set(self._in_flight)
        return self._in_flight


class _InFlightSlot:
    """Counts one request as in flight, from the end of its body on: a slow body holds no slot."""

    def __init__(self, middleware: RequestMiddleware, scope: Scope, receive: Receive) -> None:
        self._middleware = middleware
        self._path = scope["path"]
        self._receive = receive
        self._acquired = False

    async def receive(self) -> Message:
        """Return the request's next message. Raises `ApiError` (503) at the last one when no slot is free."""
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            self.acquire()
        return message

    def acquire(self) -> None:
        """Acquire the slot, once. Raises `ApiError` (503) when too many requests are in flight."""
        if self._acquired:
            return
        self._acquired = True
        if self._middleware.change_in_flight(1) > MAX_IN_FLIGHT and self._path not in _NEVER_SHED:
            metrics.SHED.inc()
            raise unavailable("overloaded", "Too many requests are in flight.")

    def release(self) -> None:
        """Release the slot if it was acquired."""
        if self._acquired:
            self._middleware.change_in_flight(-1)


class _ResponseWriter:
    """Sends one request's response: adds common headers, turns errors into responses, and counts it."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._started_at = time.perf_counter()
        self._status: int | None = None
        self.request_id = _request_id(scope)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = message["headers"]  # a list of pairs, in lower case
            headers.append((b"x-request-id", self.request_id.encode()))
            headers.append((b"x-content-type-options", b"nosniff"))
            if all(name != b"cache-control" for name, _ in headers):
                headers.append((b"cache-control", b"no-store"))
        await self._send(message)

    async def send_error(self, error: Exception, receive: Receive) -> None:
        api_error = _api_error(error)
        if api_error.status >= 500:
            unexpected = error if api_error.status == 500 else None
            _log.error(
                "request_failed",
                request_id=self.request_id,
                status=api_error.status,
                code=api_error.code,
                path=self._scope["path"],
                exc_info=unexpected,
            )
        if self._status is None:
            await error_response(api_error, self.request_id)(self._scope, receive, self.send)

    @property
    def span_attributes(self) -> dict[str, str | int | float | bool]:
        """The attributes of the request's trace span; none of them is free text of a caller."""
        route: Any = self._scope.get("route")
        return {"route": route.path if route is not None else "unknown", "status": self._status or 0}

    def count(self) -> None:
        route: Any = self._scope.get("route")
        path = route.path if route is not None else "unknown"
        method = self._scope["method"] if self._scope["method"] in _METHODS else "other"
        metrics.REQUESTS.labels(path, method, str(self._status)).inc()
        if b"refresh" not in self._scope["query_string"]:
            metrics.SECONDS.labels(path).observe(time.perf_counter() - self._started_at)


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return str(value.decode())
    return secrets.token_hex(8)


def _traceparent(scope: Scope) -> str | None:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"traceparent"), None)


def _api_error(error: Exception) -> ApiError:
    match error:
        case ApiError():
            return error
        case HTTPException(status_code=404):
            return ApiError(404, "not_found", "There is nothing at this address; see /openapi.json.")
        case HTTPException(status_code=405):
            return ApiError(405, "method_not_allowed", "See the Allow header.", headers=error.headers)
        case _:
            return ApiError(500, "internal", "Something failed on our side.")
