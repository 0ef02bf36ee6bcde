"""A network backend that connects to public addresses only: a tenant's URL must not reach our own network.

It resolves a name once, refuses unless every address is allowed, and connects to an address that it has
checked. TLS still verifies the certificate of the name. Nothing is sent to a refused address.
"""

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from concurrent.futures import TimeoutError as FutureTimeoutError
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Final

import httpcore

from shared.webhooks.urls import Address, may_connect, resolve
from worker.http.deadline import Deadline, DeadlineBackend

CONNECTION_LIVES: Final = timedelta(seconds=30)
"""After that a connection serves no further request, so that a changed name is noticed."""


class AddressBlockedError(Exception):
    """The host has an address that may not be reached. The message names neither."""


class PublicBackend(DeadlineBackend):
    """Connects to addresses that are public or in the allowed networks.

    ``local_only``: public addresses are refused as well. ``resolvers`` run the lookups, which have no time
    limit of their own.
    """

    def __init__(
        self,
        deadline: Deadline,
        resolvers: Executor,
        allowed: Sequence[IPv4Network | IPv6Network],
        *,
        local_only: bool,
    ) -> None:
        super().__init__(deadline)
        self._resolvers = resolvers
        self._allowed = tuple(allowed)
        self._local_only = local_only

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that answers. Raises `AddressBlockedError`, or as httpcore does."""
        error: Exception = httpcore.ConnectError("the host has no address")
        for address in self._checked(host, port, timeout):
            try:
                stream = super().connect_tcp(str(address), port, timeout, local_address, socket_options)
            except httpcore.ConnectError as refused:
                error = refused
            else:
                return _MortalStream(stream)
        raise error

    def _checked(self, host: str, port: int, timeout: float | None) -> list[Address]:
        left = self._deadline.left(timeout, httpcore.ConnectTimeout)
        try:
            addresses = self._resolvers.submit(resolve, host, port).result(left)
        except FutureTimeoutError:
            raise httpcore.ConnectTimeout("the name was not resolved in time") from None
        except (OSError, UnicodeError):
            raise httpcore.ConnectError("the name cannot be resolved") from None
        if not all(may_connect(one, self._allowed, local_only=self._local_only) for one in addresses):
            raise AddressBlockedError
        return addresses


class _MortalStream(httpcore.NetworkStream):
    """A connection that looks closed by the other side once it has lived for `CONNECTION_LIVES`."""

    def __init__(self, inner: httpcore.NetworkStream, opened_at: float | None = None) -> None:
        self._inner = inner
        self._opened_at = time.monotonic() if opened_at is None else opened_at

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, timeout)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        secure = self._inner.start_tls(ssl_context, server_hostname, timeout)
        return _MortalStream(secure, self._opened_at)

    def get_extra_info(self, info: str) -> Any:
        # httpcore asks this of an idle connection before it uses it again.
        expired = time.monotonic() - self._opened_at > CONNECTION_LIVES.total_seconds()
        return True if info == "is_readable" and expired else self._inner.get_extra_info(info)
