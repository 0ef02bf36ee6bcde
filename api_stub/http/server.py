"""The HTTP server: uvicorn, told how long and how large a request head may be, and how to stop."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Generator
from types import FrameType
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api_stub.http.errors import encode, error_body
from api_stub.http.middleware import Shell
from api_stub.service import Service
from shared.process import end_in_time
from shared.settings import SettingsError

LARGEST_HEAD: Final = 65_536
HEAD_SECONDS: Final = 10.0
BODY_SECONDS: Final = 35.0
"""Longer than any endpoint waits for a body, which then answers 408."""
KEEP_ALIVE_SECONDS: Final = 30
STOP_SECONDS: Final = 8
_BACKLOG: Final = 2_048


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol with an end to slow and endless requests, and errors in our own form.

    The whole head has `HEAD_SECONDS`, the whole body `BODY_SECONDS`, whether anybody reads it or not.
    """

    _ends: asyncio.TimerHandle | None = None
    _head_size = 0
    _in_head = True
    _arrived = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock for the first request's head."""
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn narrows asyncio's own annotation
        self._ends = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, as long as the head that is under way stays within its size."""
        self._arrived = len(data)
        self._head_size += self._arrived
        super().data_received(data)
        if self._in_head and self._head_size > LARGEST_HEAD and not self.transport.is_closing():
            self.send_400_response("The request line and headers are too large.")

    def on_message_begin(self) -> None:
        """Begin a head. The first one of a connection was timed from its start."""
        super().on_message_begin()
        self._in_head, self._head_size = True, self._arrived
        if self._ends is None:
            self._ends = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def on_headers_complete(self) -> None:
        """End a head and start the clock for the body."""
        self._in_head = False
        self._stop_clock()
        self._ends = self.loop.call_later(BODY_SECONDS, self.transport.close)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End a request."""
        self._stop_clock()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP request with our own body."""
        body = encode(error_body("invalid_request", msg))
        head = (
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _stop_clock(self) -> None:
        if self._ends is not None:
            self._ends.cancel()
            self._ends = None


class Server(uvicorn.Server):
    """uvicorn's server; told to stop, it lets waiting requests answer at once and ends with exit code 0."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; the second signal does not wait for requests that are under way."""
        self._service.listener.stop()
        if self.should_exit:
            self.force_exit = True
        else:
            end_in_time()
        super().handle_exit(sig, frame)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Handle signals without raising them again afterwards: a stop that was asked for is no failure."""
        former = {
            number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises `SettingsError` when the address is not to be had."""
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


def serve(app: Shell, service: Service, listening: socket.socket) -> None:
    """Answer requests until SIGTERM or SIGINT; requests that are under way have `STOP_SECONDS` to end."""
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
    # Its other messages repeat ours, or could be called forth by anybody who sends nonsense.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    Server(uvicorn.Config(app, **options), service).run(sockets=[listening])
