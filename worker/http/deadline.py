"""A transport whose calls end by a deadline, however the other side spaces its bytes.

httpx's own time limits hold for one operation each: a server that sends a byte of its headers every few
seconds keeps a call alive for days. Here every operation gets what is left of the call's time.
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
        """Hold what this thread does inside to a time limit."""
        self._at = time.monotonic() + whole.total_seconds()
        try:
            yield
        finally:
            self._at = None

    def left(self, timeout: float | None, passed: type[Exception]) -> float | None:
        """Return the seconds that an operation may take; raises ``passed`` when none is left."""
        if self._at is None:
            return timeout
        left = self._at - time.monotonic()
        if left <= 0:
            raise passed("the whole call took too long")
        return left if timeout is None else min(left, timeout)


class DeadlineTransport(httpx.HTTPTransport):
    """httpx's own transport on a pool whose every network operation asks the deadline."""

    def __init__(self, deadline: Deadline, connections: int) -> None:
        tls = httpx.create_ssl_context(trust_env=False)
        super().__init__(verify=tls, trust_env=False)
        # httpcore takes a network backend by its documented argument, but httpx has none to hand it on.
        # Should a release of httpx rename the attribute, the test with trickling headers turns red.
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls,
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=30,
            network_backend=_Backend(deadline),
        )


class _Backend(httpcore.SyncBackend):
    """Name resolution alone is out of its reach: the operating system's resolver bounds that."""

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
