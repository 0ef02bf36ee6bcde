"""What the handlers of the operators' page share: connections, authentication, background re-syncs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine

from api_stub.ops.authentication import OpsAuthenticator
from api_stub.ops.bulk_resync import BackgroundResyncs
from shared import database
from shared.settings import Settings

Result = TypeVar("Result")
STATEMENT_SECONDS: Final = 5.0
_CONNECTIONS: Final = 3


class OpsContext:
    """Shared state of the operators' page. It has connections of its own: no page takes one from the API."""

    def __init__(self, settings: Settings) -> None:
        self.authenticator = OpsAuthenticator(settings)
        self.freshness = settings.freshness
        self.webhook_networks = settings.webhook_allow_networks
        self.settings = settings
        self.runbook_url = settings.runbook_url
        self.engine = self._connect(settings, "dravo-api-ops", _CONNECTIONS)
        self._background_engine = self._connect(settings, "dravo-api-ops-background", 2)
        self.resyncs = BackgroundResyncs(self._background_engine)

    @staticmethod
    def _connect(settings: Settings, application: str, connections: int) -> Engine:
        return database.connect(
            settings.database,
            application=application,
            pool_size=connections,
            statement_seconds=STATEMENT_SECONDS,
            idle=settings.idle,
        )

    async def read(self, query: Callable[[Connection], Result]) -> Result:
        """Run a query on a connection, in a thread."""

        def run() -> Result:
            with self.engine.connect() as connection:
                return query(connection)

        return await asyncio.to_thread(run)

    async def write(self, change: Callable[[Connection], Result]) -> Result:
        """Run a change in one transaction, in a thread."""

        def run() -> Result:
            with self.engine.begin() as connection:
                return change(connection)

        return await asyncio.to_thread(run)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Close the connections at the end of the context."""
        try:
            yield
        finally:
            await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Stop the background re-syncs, and close the connections."""
        self.resyncs.stop()
        self.engine.dispose()
        self._background_engine.dispose()
