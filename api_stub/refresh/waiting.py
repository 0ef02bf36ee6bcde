"""Waiting for refreshes to finish: one connection of the process listens for PostgreSQL's NOTIFY."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

import structlog
from psycopg import AsyncConnection

from api_stub.http.database import Connection, conninfo
from shared.database import CONNECT_TIMEOUT_SECONDS, PSYCOPG_AWAY
from shared.refresh_state.notifications import REFRESHED_CHANNEL

_FIRST_RECONNECT_SECONDS: Final = 0.1
_MAX_RECONNECT_SECONDS: Final = 5.0
_LISTEN_SECONDS: Final = 30.0
_log = structlog.get_logger(__name__)


class CompletionWatch:
    """One request's wait for the refreshes of some publications."""

    def __init__(self) -> None:
        self._finished: set[int] = set()
        self._changed = asyncio.Event()
        self._interrupted = False

    def finish(self, publication_id: int) -> None:
        """Record that a refresh of this publication finished."""
        self._finished.add(publication_id)
        self._changed.set()

    def interrupt(self) -> None:
        """End the wait: notifications may have been missed, or the service stops."""
        self._interrupted = True
        self._changed.set()

    async def interrupted(self, publication_ids: Iterable[int], until: float) -> bool:
        """Wait until all of these finish or the loop's clock reads ``until``; return whether interrupted."""
        remaining = set(publication_ids)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                while remaining - self._finished and not self._interrupted:
                    self._changed.clear()
                    await self._changed.wait()
        was_interrupted, self._interrupted = self._interrupted, False
        return was_interrupted


class Follower(Protocol):
    """What else is notified over the same connection."""

    @property
    def channel(self) -> str:
        """The PostgreSQL channel."""

    def receive(self, payload: str) -> None:
        """Take a notification."""

    async def connected(self, connection: Connection) -> None:
        """Begin: from now on nothing is missed until `disconnected`."""

    def disconnected(self) -> None:
        """End: the connection is lost, and notifications are missed."""


class CompletionListener:
    """Listens for finished refreshes and wakes the requests that wait for one of them."""

    def __init__(self, url: str, follower: Follower | None = None) -> None:
        self._conninfo = conninfo(url)
        self._follower = follower
        self._watches: defaultdict[int, set[CompletionWatch]] = defaultdict(set)
        self.stopping = False

    @contextlib.contextmanager
    def watching(self, publication_ids: Iterable[int]) -> Iterator[CompletionWatch]:
        """Return a `CompletionWatch` of these publications; it misses nothing that finishes from now on."""
        watch = CompletionWatch()
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
        """Listen until cancelled. Reconnects after a lost connection, with growing delays up to a limit."""
        delay = _FIRST_RECONNECT_SECONDS
        while True:
            try:
                async with await AsyncConnection.connect(
                    self._conninfo,
                    autocommit=True,
                    application_name="dravo-api-listener",
                    connect_timeout=CONNECT_TIMEOUT_SECONDS,
                ) as connection:
                    await connection.execute(f"LISTEN {REFRESHED_CHANNEL}")
                    if self._follower is not None:
                        await connection.execute(f"LISTEN {self._follower.channel}")
                        await self._follower.connected(connection)
                    self._interrupt()  # notifications were missed meanwhile: each request queries its rows
                    delay = _FIRST_RECONNECT_SECONDS
                    await self._receive(connection)
            except PSYCOPG_AWAY as error:
                _log.warning("listener_lost", error=type(error).__name__)
            finally:
                if self._follower is not None:
                    self._follower.disconnected()
            await asyncio.sleep(delay)
            delay = min(delay * 2, _MAX_RECONNECT_SECONDS)

    async def _receive(self, connection: Connection) -> None:
        while True:
            async for notification in connection.notifies(timeout=_LISTEN_SECONDS):
                if notification.channel != REFRESHED_CHANNEL:
                    if self._follower is not None:
                        self._follower.receive(notification.payload)
                    continue
                for publication_id in notification.payload.split(","):
                    if publication_id.isdecimal():
                        for watch in self._watches.get(int(publication_id), ()):
                            watch.finish(int(publication_id))
            await connection.execute("SELECT 1")  # raises when the connection was lost silently

    def _interrupt(self) -> None:
        for watches in self._watches.values():
            for watch in watches:
                watch.interrupt()
