"""A transport whose calls end by a deadline, even when the server sends one byte at a time.

httpx's own time limits apply to one operation each: a server that sends a byte of its headers every few
seconds keeps a call alive for days. Here every operation may take only the rest of the call's time.
"""

import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httpcore
import httpx


class Deadline(threading.local):
    """The instant by which the calling thread's call must end: httpx does a call's I/O in that thread."""

    def __init__(self) -> None:
        self._at: float | None = None

    @contextmanager
    def within(self, whole: timedelta) -> Iterator[None]:
        """Limit the time of this thread's calls inside the context."""
        self._at = time.monotonic() + whole.total_seconds()
        try:
            yield
        finally:
            self._at = None

    def left(self, timeout: float | None, expired: type[Exception]) -> float | None:
        """Return the seconds that an operation may take; raises ``expired`` when none is left."""
        if self._at is None:
            return timeout
        left = self._at - time.monotonic()
        if left <= 0:
            raise expired("the whole call took too long")
        return left if timeout is None else min(left, timeout)


class DeadlineTransport(httpx.HTTPTransport):
    """httpx's own transport on a connection pool whose network operations observe the deadline."""

    def __init__(self, deadline: Deadline, connections: int) -> None:
        tls = httpx.create_ssl_context(trust_env=False)
        super().__init__(verify=tls, trust_env=False)
        # httpcore accepts a network backend as a documented argument, but httpx does not pass one on. If a
        # release of httpx renames the attribute, the test with slow headers fails.
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls,
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=30,
            network_backend=DeadlineBackend(deadline),
        )


class DeadlineBackend(httpcore.SyncBackend):
    """Connections whose operations observe the deadline.

    It does not cover name resolution, which the operating system's resolver bounds.
    """

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect within the rest of the call's time."""
        left = self._deadline.left(timeout, httpcore.ConnectTimeout)
        stream = super().connect_tcp(host, port, left, local_address, socket_options)
        return _Stream(stream, self._deadline)


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._deadline.left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._deadline.left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._deadline.left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
