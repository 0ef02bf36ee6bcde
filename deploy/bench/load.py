"""A load generator for loopback HTTP: a number of keep-alive connections, the latency of every answer."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import uvloop

_READ: Final = 262_144


@dataclass(frozen=True, slots=True)
class Measurement:
    """The result of one run of the load generator."""

    requests: int
    seconds: float
    latencies: tuple[float, ...]
    """Seconds, ascending."""

    @property
    def per_second(self) -> float:
        """Throughput."""
        return self.requests / self.seconds

    def quantile(self, part: float) -> float:
        """Return a quantile of the latencies in milliseconds."""
        return self.latencies[min(int(len(self.latencies) * part), len(self.latencies) - 1)] * 1_000


def measure(
    url: str,
    paths: Sequence[str],
    *,
    token: str = "",
    cookie: str = "",
    connections: int = 16,
    seconds: float = 5,
) -> Measurement:
    """Request these paths in random order for a while. Raises `RuntimeError` for any answer but a 200."""
    return uvloop.run(_measure(url, paths, (token, cookie), connections, seconds))


async def _measure(
    url: str, paths: Sequence[str], credentials: tuple[str, str], connections: int, seconds: float
) -> Measurement:
    latencies: list[float] = []
    started = time.perf_counter()
    ends = started + seconds
    await asyncio.gather(
        *(_ask(url, paths, credentials, ends, random.Random(n), latencies) for n in range(connections))
    )
    return Measurement(len(latencies), time.perf_counter() - started, tuple(sorted(latencies)))


async def _ask(
    url: str,
    paths: Sequence[str],
    credentials: tuple[str, str],
    ends: float,
    order: random.Random,
    latencies: list[float],
) -> None:
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=_READ)
    token, cookie = credentials
    head = f"Host: {address.netloc}\r\nAuthorization: Bearer {token}\r\nCookie: {cookie}\r\n\r\n"
    requests = [f"GET {path} HTTP/1.1\r\n{head}".encode() for path in paths]
    while (started := time.perf_counter()) < ends:
        writer.write(order.choice(requests))
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        body = await reader.readexactly(length)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{answer[:40]!r} {body[:200]!r}")
        latencies.append(time.perf_counter() - started)
    writer.close()
