"""Receivers of webhooks on many loopback addresses: they answer 204 at once, or hang."""

import asyncio
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from deploy.local.servers.server_process import free_port

_HEADERS_END: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_CHANGED_AT: Final = re.compile(rb'"changed_at": ?"([^"]+)"')
_ANSWER: Final = b"HTTP/1.1 204 No Content\r\n\r\n"


@dataclass
class Receivers:
    """What arrived."""

    port: int
    hanging: frozenset[str]
    """Addresses whose receivers never answer."""
    deliveries: int = 0
    latencies: list[float] = field(default_factory=list)
    """Seconds from the change to the answer, for each change that was accepted."""

    def reset(self) -> None:
        """Forget what arrived."""
        self.deliveries = 0
        self.latencies.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        hangs = writer.get_extra_info("sockname")[0] in self.hanging
        try:
            while True:
                head = await reader.readuntil(_HEADERS_END)
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                if hangs:
                    await reader.read()  # until the sender gives up
                    return
                writer.write(_ANSWER)
                await writer.drain()
                self.deliveries += 1
                now = time.time()
                for instant in _CHANGED_AT.findall(body):
                    self.latencies.append(now - datetime.fromisoformat(instant.decode()).timestamp())
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # the sender has closed the connection
        finally:
            writer.close()


def addresses(number: int) -> list[str]:
    """Return so many addresses of loopback: a sender delivers to four endpoints of a host at once."""
    return [f"127.1.{one // 250}.{one % 250 + 1}" for one in range(number)]


@contextmanager
def receiving(hosts: Sequence[str], hanging: Sequence[str]) -> Iterator[Receivers]:
    """Listen on these addresses, in a thread."""
    receivers = Receivers(free_port(), frozenset(hanging))
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(
        asyncio.start_server(receivers.serve, host=list(hosts), port=receivers.port, backlog=64)
    )
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield receivers
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
