"""The HTTP server: uvicorn with limits on the size and time of requests, and a graceful stop."""

import asyncio
import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Generator
from types import FrameType
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api_stub.http.errors import encode, error_body
from api_stub.service import Service
from shared.process import end_in_time
from shared.settings import SettingsError

MAX_HEAD_BYTES: Final = 65_536
HEAD_SECONDS: Final = 10.0
BODY_SECONDS: Final = 35.0
"""Longer than an endpoint waits for a body before it answers 408."""
KEEP_ALIVE_SECONDS: Final = 30
STOP_SECONDS: Final = 8
_BACKLOG: Final = 2_048


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol with limits for slow and endless requests, and with our form of errors.

    A connection is closed when a head takes longer than `HEAD_SECONDS`, or a body than `BODY_SECONDS`.
    """

    _deadline: asyncio.TimerHandle | None = None
    _head_size = 0
    _in_head = True
    _arrived = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Set the deadline of the first request's head."""
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn narrows asyncio's own annotation
        self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the deadline."""
        self._cancel_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the data; refuse a head that is larger than `MAX_HEAD_BYTES`."""
        self._arrived = len(data)
        self._head_size += self._arrived
        super().data_received(data)
        if self._in_head and self._head_size > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The request line and headers are too large.")

    def on_message_begin(self) -> None:
        """Begin a head. The deadline of a connection's first head is set already."""
        super().on_message_begin()
        self._in_head, self._head_size = True, self._arrived
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def on_headers_complete(self) -> None:
        """End a head and set the deadline of the body."""
        self._in_head = False
        self._cancel_deadline()
        self._deadline = self.loop.call_later(BODY_SECONDS, self.transport.close)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End a request and cancel its deadline."""
        self._cancel_deadline()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer data that is no HTTP request with our form of errors."""
        body = encode(error_body("invalid_request", msg))
        head = (
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class Server(uvicorn.Server):
    """uvicorn's server; at a stop signal, requests that wait answer at once and the exit code is 0."""

    def __init__(self, config: uvicorn.Config, service: Service, stopping: threading.Event) -> None:
        super().__init__(config)
        self._service = service
        self._stopping = stopping

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; the second signal does not wait for the requests in flight."""
        self._service.listener.stop()
        if self.should_exit:
            self.force_exit = True
        else:
            end_in_time()
        super().handle_exit(sig, frame)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Handle signals without raising them again afterwards: a requested stop is no failure."""
        previous = {
            number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)
        }
        if self._stopping.is_set():  # a signal came during the start
            self.handle_exit(signal.SIGTERM, None)
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises `SettingsError` when the address is not available."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listening.close()
        reason = getattr(error, "strerror", None) or "no such address"
        raise SettingsError(
            f"cannot listen on {host}:{port} ({reason}): check DRAVO_API_HOST and DRAVO_API_PORT"
        ) from None
    return listening


def serve(app: ASGIApp, service: Service, listening: socket.socket, stopping: threading.Event) -> None:
    """Answer requests until SIGTERM or SIGINT; requests in flight then have `STOP_SECONDS` to end.

    ``stopping``: set when such a signal came before (`shared.process.stop_on_signals`).
    """
    options: dict[str, Any] = {
        "http": Protocol,
        "loop": "uvloop",
        "ws": "none",
        "lifespan": "on",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "timeout_keep_alive": KEEP_ALIVE_SECONDS,
        "timeout_graceful_shutdown": STOP_SECONDS,
    }
    # Its other messages repeat ours, or could be caused in any number by malformed requests.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    Server(uvicorn.Config(app, **options), service, stopping).run(sockets=[listening])
