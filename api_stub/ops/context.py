"""The office behind the page: its own connections, its door, what it keeps and what it carries out."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine

from api_stub.ops.authentication import Door
from api_stub.ops.bulk_resync import BackgroundResyncs
from shared import database
from shared.settings import Settings

Result = TypeVar("Result")
STATEMENT_SECONDS: Final = 5.0
_CONNECTIONS: Final = 3


class Office:
    """Everything that the pages need. Connections are its own: no page takes one from the read API."""

    def __init__(self, settings: Settings) -> None:
        self.door = Door(settings)
        self.freshness = settings.freshness
        self.engine = self._connect(settings, "dravo-api-ops", _CONNECTIONS)
        self._behind = self._connect(settings, "dravo-api-ops-behind", 2)
        self.resyncs = BackgroundResyncs(self._behind)

    @staticmethod
    def _connect(settings: Settings, application: str, connections: int) -> Engine:
        return database.connect(
            settings.database,
            application=application,
            pool_size=connections,
            statement_seconds=STATEMENT_SECONDS,
            idle=settings.idle,
        )

    async def ask(self, question: Callable[[Connection], Result]) -> Result:
        """Run something that reads, on a connection, in a thread."""

        def run() -> Result:
            with self.engine.connect() as connection:
                return question(connection)

        return await asyncio.to_thread(run)

    async def do(self, act: Callable[[Connection], Result]) -> Result:
        """Run something that writes, in one transaction, in a thread."""

        def run() -> Result:
            with self.engine.begin() as connection:
                return act(connection)

        return await asyncio.to_thread(run)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Close the connections at the end of the context."""
        try:
            yield
        finally:
            await asyncio.to_thread(self.close)

    def close(self) -> None:
        """End what goes on in the background, and close the connections."""
        self.resyncs.stop()
        self.engine.dispose()
        self._behind.dispose()
