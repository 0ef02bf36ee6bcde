"""Waiting for a refresh to finish: told by PostgreSQL's NOTIFY on one connection a process, never polled."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

import psycopg
import structlog
from psycopg import AsyncConnection

from api_stub.http.database import conninfo
from shared.database import CONNECT_TIMEOUT_SECONDS
from shared.refresh_state.notifications import REFRESHED_CHANNEL

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0
_LISTEN_SECONDS: Final = 30.0
_log = structlog.get_logger(__name__)


class Watch:
    """What one request waits for."""

    def __init__(self) -> None:
        self._finished: set[int] = set()
        self._told = asyncio.Event()
        self._interrupted = False

    def finish(self, publication_id: int) -> None:
        """Note that a refresh of this publication ended."""
        self._finished.add(publication_id)
        self._told.set()

    def interrupt(self) -> None:
        """End the wait: news may have been missed, or the service stops."""
        self._interrupted = True
        self._told.set()

    async def interrupted(self, publication_ids: Iterable[int], until: float) -> bool:
        """Wait until all of these have ended, or the loop's clock says ``until``; tell if cut short."""
        left = set(publication_ids)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                while left - self._finished and not self._interrupted:
                    self._told.clear()
                    await self._told.wait()
        cut_short, self._interrupted = self._interrupted, False
        return cut_short


class Listener:
    """Hears which refreshes ended and tells every request that waits for one of them."""

    def __init__(self, url: str) -> None:
        self._conninfo = conninfo(url)
        self._watches: defaultdict[int, set[Watch]] = defaultdict(set)
        self.stopping = False

    @contextlib.contextmanager
    def watching(self, publication_ids: Iterable[int]) -> Iterator[Watch]:
        """Give a `Watch` of these publications; what ends from now on is not missed."""
        watch = Watch()
        ids = set(publication_ids)
        for publication_id in ids:
            self._watches[publication_id].add(watch)
        try:
            yield watch
        finally:
            for publication_id in ids:
                self._watches[publication_id].discard(watch)
                if not self._watches[publication_id]:
                    del self._watches[publication_id]

    def stop(self) -> None:
        """End every wait, now and from now on."""
        self.stopping = True
        self._interrupt()

    async def run(self) -> None:
        """Listen until cancelled. A lost connection is made again, ever less often up to a limit."""
        pause = _FIRST_PAUSE
        while True:
            try:
                async with await AsyncConnection.connect(
                    self._conninfo,
                    autocommit=True,
                    application_name="dravo-api-listener",
                    connect_timeout=CONNECT_TIMEOUT_SECONDS,
                ) as connection:
                    await connection.execute(f"LISTEN {REFRESHED_CHANNEL}")
                    self._interrupt()  # what ended meanwhile was not heard: each request looks for itself
                    pause = _FIRST_PAUSE
                    await self._hear(connection)
            except psycopg.OperationalError as error:
                _log.warning("listener_lost", error=type(error).__name__)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _hear(self, connection: AsyncConnection) -> None:
        while True:
            async for told in connection.notifies(timeout=_LISTEN_SECONDS):
                for publication_id in told.payload.split(","):
                    if publication_id.isdecimal():
                        for watch in self._watches.get(int(publication_id), ()):
                            watch.finish(int(publication_id))
            await connection.execute("SELECT 1")  # a connection that died silently is found out

    def _interrupt(self) -> None:
        for watches in self._watches.values():
            for watch in watches:
                watch.interrupt()
