"""What surrounds every request: an id, a limit on how many are in flight, and one place where errors end."""

import re
import secrets
import time
from typing import Any, Final

import structlog
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api_stub.http import metrics
from api_stub.http.errors import ApiError, error_response, unavailable
from shared.observability import tracing

MOST_IN_FLIGHT: Final = 2_048
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_ALWAYS_ANSWERED: Final = frozenset({"/healthz", "/metrics"})
_WITHOUT_BODY: Final = frozenset({"GET", "HEAD"})
"""Methods whose endpoints read no body: they take their slot at once."""
_log = structlog.get_logger(__name__)


class Shell:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, state: object) -> None:
        self._app = app
        self._state = state
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, whatever happens inside."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["app"] = self._state  # what `Request.app` gives the endpoints
        answer = _Answer(scope, send)
        slot = _Slot(self, scope, receive)
        try:
            if scope["method"] in _WITHOUT_BODY:
                slot.take()
            with tracing.span("request", parent=_traceparent(scope), request_id=answer.request_id) as told:
                await self._app(scope, slot.receive, answer.send)
                told |= answer.told
        except Exception as error:  # noqa: BLE001 - the last line of defence: no caller sees our internals
            await answer.refuse(error, receive)
        finally:
            slot.give_back()
            answer.count()

    def change_in_flight(self, change: int) -> int:
        """Add to the requests that are in flight and return how many there are."""
        self._in_flight += change
        metrics.IN_FLIGHT.set(self._in_flight)
        return self._in_flight


class _Slot:
    """One request's place among those in flight; a body that is still on its way takes none."""

    def __init__(self, shell: Shell, scope: Scope, receive: Receive) -> None:
        self._shell = shell
        self._path = scope["path"]
        self._receive = receive
        self._taken = False

    async def receive(self) -> Message:
        """Receive the request's next message. Raises `ApiError` (503) when the last one finds no slot."""
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            self.take()
        return message

    def take(self) -> None:
        """Take the slot, once. Raises `ApiError` (503) when too many are taken."""
        if self._taken:
            return
        self._taken = True
        if self._shell.change_in_flight(1) > MOST_IN_FLIGHT and self._path not in _ALWAYS_ANSWERED:
            metrics.SHED.inc()
            raise unavailable("overloaded", "Too many requests are in flight.")

    def give_back(self) -> None:
        """Give the slot back, if it was taken."""
        if self._taken:
            self._shell.change_in_flight(-1)


class _Answer:
    """One request's way out: every answer gets the request id, and is counted."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._started_at = time.perf_counter()
        self._status: int | None = None
        self.request_id = _request_id(scope)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = MutableHeaders(raw=message["headers"])
            headers["X-Request-ID"] = self.request_id
            headers.setdefault("Cache-Control", "no-store")
            headers["X-Content-Type-Options"] = "nosniff"
        await self._send(message)

    async def refuse(self, error: Exception, receive: Receive) -> None:
        refusal = _refusal(error)
        if refusal.status >= 500:
            unforeseen = error if refusal.status == 500 else None
            _log.error(
                "request_failed",
                request_id=self.request_id,
                status=refusal.status,
                code=refusal.code,
                path=self._scope["path"],
                exc_info=unforeseen,
            )
        if self._status is None:
            await error_response(refusal, self.request_id)(self._scope, receive, self.send)

    @property
    def told(self) -> dict[str, str | int | float | bool]:
        """What a trace may know of it."""
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


def _refusal(error: Exception) -> ApiError:
    match error:
        case ApiError():
            return error
        case HTTPException(status_code=404):
            return ApiError(404, "not_found", "There is nothing at this address; see /openapi.json.")
        case HTTPException(status_code=405):
            return ApiError(405, "method_not_allowed", "See the Allow header.", headers=error.headers)
        case _:
            return ApiError(500, "internal", "Something failed on our side.")
