"""The HTTP client for platforms: calls bounded in time and size, and httpx's errors translated."""

import logging
import zlib
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Self

import httpx

from worker.errors import TryAgain
from worker.http import strict_json
from worker.http.deadline import Deadline, DeadlineTransport


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of one call."""

    connect: timedelta = timedelta(seconds=5)
    """Also the wait for a connection from the pool."""
    read: timedelta = timedelta(seconds=15)
    """Between two pieces of an answer; also between two pieces sent."""
    whole: timedelta = timedelta(seconds=30)
    """From the first byte sent to the last one received. Must be well below the lease."""
    body_bytes: int = 4 * 1024 * 1024
    """After decompression."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A platform's answer, a `worker.adapters.contract.Response`; its repr shows no content."""

    status: int
    headers: httpx.Headers = field(repr=False)
    received_at: datetime
    body: bytes | None = field(repr=False)
    """``None``: larger than the bound, or incomplete."""

    def json(self) -> object:
        """Return the body as strict JSON; raises `ValueError` (see `worker.http.strict_json.parse`)."""
        if self.body is None:
            raise ValueError("the body is too large or incomplete")
        return strict_json.parse(self.body)


_HEADERS: Final = {
    "accept": "*/*",
    # The one encoding that `_body` decompresses within its bound.
    "accept-encoding": "gzip",
    "user-agent": "dravo-analytics-sync",
}


class Client:
    """One per process: a connection pool that the threads share.

    It uses httpx's transport directly. `httpx.Client` adds cookies (one account's must never travel with
    another's token), redirects, proxies and authentication of the environment, and a third of a call's CPU
    time. https://www.python-httpx.org/advanced/transports/

    ``transport`` replaces the network, for simulated platforms without sockets; time limits do not apply
    then.
    """

    def __init__(
        self,
        bounds: Bounds = Bounds(),
        *,
        connections: int = 16,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.now = now
        self._bounds = bounds
        self._deadline = Deadline()
        read, connect = bounds.read.total_seconds(), bounds.connect.total_seconds()
        self._timeout = httpx.Timeout(read, connect=connect, pool=connect).as_dict()
        self._transport = transport or DeadlineTransport(self._deadline, connections)
        # httpcore logs every header at DEBUG.
        logging.getLogger("httpcore").setLevel(logging.WARNING)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: object | None = None,
        form: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send one request and return its answer, whatever its status. Raises `worker.errors.TryAgain`."""
        try:
            with self._deadline.within(self._bounds.whole):
                request = httpx.Request(
                    method,
                    url,
                    headers=_HEADERS | dict(headers or {}),
                    json=json,
                    data=form,
                    extensions={"timeout": self._timeout},
                )
                with closing(self._transport.handle_request(request)) as response:
                    return self._read(response)
        except TRANSLATED as error:
            translated = translate(error)
        # Raised here, and not `from error`: httpx's errors hold the request with its URL and headers, h11's
        # quote an illegal header value, and UnicodeError its whole text. A printed chain of exceptions must
        # not show a token, so the chain ends here; the sentence names the class.
        raise translated

    def _read(self, response: httpx.Response) -> Reply:
        received_at = self.now()
        try:
            body = _body(response, self._bounds.body_bytes)
        except httpx.HTTPError:
            # The status of an error answer suffices: a 429 pauses its bucket even with an incomplete body.
            if response.is_success:
                raise
            body = None
        return Reply(response.status_code, response.headers, received_at, body)


def _body(response: httpx.Response, limit: int) -> bytes | None:
    """Return the decoded body, or ``None`` when it is larger than ``limit`` or badly encoded."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip", "x-gzip", ""}:
        return None
    inflater = zlib.decompressobj(16 + zlib.MAX_WBITS) if "gzip" in encoding else None
    body = bytearray()
    received = 0
    for piece in response.iter_raw():
        received += len(piece)
        try:
            body += piece if inflater is None else inflater.decompress(piece, limit + 1 - len(body))
        except zlib.error:
            return None
        if max(len(body), received) > limit:
            return None
        if inflater is not None and inflater.eof:
            break  # bytes after the end of the stream are not part of the answer
    return None if inflater and not inflater.eof else bytes(body)


_SENTENCES: Final[dict[type[Exception], tuple[str, bool]]] = {
    httpx.PoolTimeout: ("No connection to the platform was free in time", False),
    httpx.TimeoutException: ("The platform did not answer in time", True),
    httpx.NetworkError: ("The connection to the platform failed", False),
    httpx.ProxyError: ("The connection to the platform failed", False),
    httpx.RemoteProtocolError: ("The platform broke off or did not speak HTTP", False),
    # The others are requests that cannot be sent: a URL or header with an illegal character, most likely in a
    # stored id or token.
    httpx.HTTPError: ("The call to the platform could not be made", False),
    httpx.InvalidURL: ("The call to the platform could not be made", False),
    httpx.CookieConflict: ("The call to the platform could not be made", False),
    httpx.StreamError: ("The call to the platform could not be made", False),
    UnicodeError: ("The call to the platform could not be made", False),
}
"""By error: its sentence, and whether it counts for the circuit breaker. The nearest class applies."""

TRANSLATED: Final = tuple(_SENTENCES)


def translate(error: Exception) -> TryAgain:
    """Return the refresh error for one of ``TRANSLATED``; of the error it holds only the class's name."""
    sentence, breaks = next(_SENTENCES[kind] for kind in type(error).__mro__ if kind in _SENTENCES)
    return TryAgain(f"{sentence} ({type(error).__name__}).", breaks=breaks)
