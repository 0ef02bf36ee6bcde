"""An HTTP/1.1 server on a loopback port that can break its own answers on purpose.

The server of a web framework repairs what a fault test wants broken: it frames the body, finishes the answer
and closes the connection cleanly. So the connection is handled here, on asyncio; httptools parses.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus

import httptools
import httpx

from deploy.simulators.behaviour import Close


@dataclass(frozen=True, slots=True)
class Delivery:
    """An answer and how it is delivered: whole, unless `close` or `trickle_seconds` is set."""

    response: httpx.Response
    wait_seconds: float = 0.0
    close: Close | None = None
    trickle_seconds: float | None = None
    clock_skew_seconds: float = 0.0


Serve = Callable[[httpx.Request], Delivery]

_REASONS = {status.value: status.phrase for status in HTTPStatus}


class Connection(asyncio.Protocol):
    """One client's connection; requests are answered one after another."""

    def __init__(self, serve: Serve, official_host: str, live: set["Connection"]) -> None:
        self._serve = serve
        self._origin = f"https://{official_host}"
        self._live = live
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[httpx.Request, bool]] = deque()
        self._slow: asyncio.Task[None] | None = None
        self._begin()

    def _begin(self) -> None:
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = bytearray()

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 (narrows the type; TCP has no other)
        self._transport = transport
        self._live.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel an answer in progress."""
        self._live.discard(self)
        if self._slow is not None:
            self._slow.cancel()

    def data_received(self, data: bytes) -> None:
        """Parse; abort the connection on anything but HTTP."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError:
            raise
        except httptools.HttpParserError:
            self._transport.abort()

    def abort(self) -> None:
        """Abort the connection."""
        self._transport.abort()

    # httptools

    def on_url(self, url: bytes) -> None:
        """Append to the request target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Append one header."""
        self._headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        """Append to the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """Queue the complete request."""
        request = httpx.Request(
            self._parser.get_method().decode("ascii"),
            self._origin + self._target.decode("ascii"),
            headers=self._headers,
            content=bytes(self._body),
            extensions={"target": self._target},
        )
        self._waiting.append((request, self._parser.should_keep_alive()))
        self._begin()
        if self._slow is None:
            self._answer_waiting()

    # Answers

    def _answer_waiting(self) -> None:
        while self._waiting and not self._transport.is_closing():
            request, keep_alive = self._waiting.popleft()
            delivery = self._serve(request)
            if delivery.wait_seconds or delivery.close or delivery.trickle_seconds is not None:
                self._slow = asyncio.get_running_loop().create_task(self._deliver(delivery, keep_alive))
                self._slow.add_done_callback(self._delivered)
                return
            self._transport.write(_bytes(delivery, keep_alive))
            if not keep_alive:
                self._transport.close()

    async def _deliver(self, delivery: Delivery, keep_alive: bool) -> None:  # noqa: FBT001 (private, one caller)
        if delivery.wait_seconds:
            await asyncio.sleep(delivery.wait_seconds)
        content = _bytes(delivery, keep_alive)
        if delivery.close in ("before", "after"):
            self._transport.abort()
        elif delivery.close == "middle":
            self._transport.write(content[: len(content) - len(delivery.response.content) // 2 - 1])
            self._transport.close()
        elif delivery.trickle_seconds is not None:
            for place in range(len(content)):
                self._transport.write(content[place : place + 1])
                await asyncio.sleep(delivery.trickle_seconds)
        else:
            self._transport.write(content)
        if not keep_alive:
            self._transport.close()

    def _delivered(self, task: asyncio.Task[None]) -> None:
        self._slow = None
        if not task.cancelled():
            task.result()
            self._answer_waiting()


def _bytes(delivery: Delivery, keep_alive: bool) -> bytes:  # noqa: FBT001 (private, positional for speed)
    response = delivery.response
    status = response.status_code
    lines = [b"HTTP/1.1 %d %s" % (status, _REASONS.get(status, "").encode("ascii"))]
    lines += [name + b": " + value for name, value in response.headers.raw]
    if "content-length" not in response.headers:  # httpx leaves it out of an empty answer
        lines.append(b"content-length: %d" % len(response.content))
    date = formatdate(time.time() + delivery.clock_skew_seconds, usegmt=True)
    lines.append(b"date: " + date.encode("ascii"))
    lines.append(b"connection: keep-alive\r\n" if keep_alive else b"connection: close\r\n")
    return b"\r\n".join(lines) + b"\r\n" + response.content
