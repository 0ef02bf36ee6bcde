"""One POST to a receiver: bounded in time, to checked addresses only, its body neither read nor kept."""

import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Network, IPv6Network
from typing import Final, Self

import httpcore
import httpx
from pydantic import SecretStr

from shared.webhooks.urls import UrlError, parse_url
from worker.http.deadline import Deadline
from worker.http.public_network import CONNECTION_LIVES, AddressBlockedError, PublicBackend
from worker.webhooks.messages import Message, signed_headers
from worker.webhooks.rules import Answer, DeliveryOutcome

CONNECT: Final = timedelta(seconds=5)
WHOLE: Final = timedelta(seconds=15)
"""From the name's resolution to the status of the answer."""
_GONE: Final = 410
_TIMEOUTS: Final = {
    "connect": CONNECT.total_seconds(),
    "pool": CONNECT.total_seconds(),
    "read": WHOLE.total_seconds(),
    "write": WHOLE.total_seconds(),
}
_HEADERS: Final = {"user-agent": "dravo-webhooks", "accept-encoding": "identity", "accept": "*/*"}


class Poster:
    """Connections to receivers; one for all threads of a process. No redirects, cookies or proxies."""

    def __init__(self, allowed: Sequence[IPv4Network | IPv6Network], connections: int) -> None:
        self._allowed = tuple(allowed)
        self._deadline = Deadline()
        self._open = ExitStack()
        resolvers = ThreadPoolExecutor(connections, thread_name_prefix="resolver")
        self._open.callback(resolvers.shutdown, wait=False, cancel_futures=True)
        tls = httpx.create_ssl_context(trust_env=False)
        self._public, self._local = (
            self._open.enter_context(
                httpcore.ConnectionPool(
                    ssl_context=tls,
                    max_connections=connections,
                    max_keepalive_connections=connections,
                    keepalive_expiry=CONNECTION_LIVES.total_seconds(),
                    network_backend=PublicBackend(
                        self._deadline, resolvers, self._allowed, local_only=local_only
                    ),
                )
            )
            for local_only in (False, True)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def post(self, url: str, message: Message, secrets: Sequence[SecretStr]) -> Answer:
        """Send a message once and return how that ended; whatever the receiver does, nothing is raised."""
        began = time.monotonic()
        try:
            target = parse_url(url, self._allowed)
        except UrlError:
            return Answer(DeliveryOutcome.BLOCKED, 0.0, failure="UrlError")
        pool = self._local if target.local_only else self._public
        headers = {**_HEADERS, **signed_headers(message, secrets, datetime.now(UTC))}
        try:
            with (
                self._deadline.within(WHOLE),
                pool.stream(
                    "POST",
                    url,
                    headers=list(headers.items()),
                    content=message.body.encode(),
                    extensions={"timeout": _TIMEOUTS},
                ) as response,
            ):
                status, answered = response.status, dict(response.headers)
                if answered.get(b"content-length") == b"0":
                    response.read()  # nothing: the connection can be used again
        except AddressBlockedError:
            return _failed(DeliveryOutcome.BLOCKED, began, "AddressBlockedError")
        except httpcore.TimeoutException as error:
            return _failed(DeliveryOutcome.TIMEOUT, began, type(error).__name__)
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol) as error:
            return _failed(DeliveryOutcome.UNREACHABLE, began, type(error).__name__)
        return _judged(status, answered, time.monotonic() - began)


def _failed(outcome: DeliveryOutcome, began: float, failure: str) -> Answer:
    return Answer(outcome, time.monotonic() - began, failure=failure)


def _judged(status: int, headers: dict[bytes, bytes], seconds: float) -> Answer:
    if 200 <= status < 300:
        return Answer(DeliveryOutcome.DELIVERED, seconds, status)
    outcome = DeliveryOutcome.GONE if status == _GONE else DeliveryOutcome.REFUSED
    lowered = {name.lower(): value for name, value in headers.items()}
    return Answer(outcome, seconds, status, retry_after=_retry_after(lowered.get(b"retry-after")))


def _retry_after(value: bytes | None) -> timedelta | None:
    """Return what a ``Retry-After`` asks for; ``None`` for none or one that cannot be read."""
    if value is None:
        return None
    text = value.decode("latin-1").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return timedelta(seconds=int(text))
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(timedelta(), (at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC))
