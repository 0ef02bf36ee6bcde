"""The components that all endpoints share: built from the settings, started and stopped with the process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Final

from starlette.requests import Request

from api_stub.auth.api_keys import LAST_USED_SAVED_EVERY, ApiKeys
from api_stub.auth.authenticator import Authenticator, Caller
from api_stub.auth.dashboard_tokens import DashboardTokens, configured
from api_stub.events.processing import EventProcessor
from api_stub.http.database import Database
from api_stub.posts.promises import LOADED_EVERY, Promises
from api_stub.posts.read_counter import SAVED_EVERY, ReadCounter
from api_stub.posts.workspace import Workspace
from api_stub.refresh.refreshing import Refresher
from api_stub.refresh.throttle import ForcedRefreshLimit
from api_stub.refresh.waiting import CompletionListener
from api_stub.replica.reads import Replica, WorkspaceReads
from api_stub.signals.endpoint import Receiver
from api_stub.tasks import cancel_all, keep_running
from shared.accounts.vault import Sealer, SealingKey, Vault
from shared.database import connect
from shared.erasure.ledger import ledger_of
from shared.settings import Settings

SIGNALS_AT_ONCE: Final = 2
"""Connections for the platforms' signals: their number never reaches the pool of the clients' reads."""
EVENT_BATCHES: Final = 4
"""The largest number of event batches that are committed at the same time."""


class Service:
    """The components of a running read API. Raises `SettingsError` for invalid token settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = Database(settings.database, idle=settings.idle)
        self._engine = connect(
            settings.database,
            application="dravo-api-events",
            pool_size=EVENT_BATCHES,
            idle=settings.idle,
        )
        self.event_processor = EventProcessor(self._engine, _sealer(settings), settings.without_token)
        self._signal_engine = connect(
            settings.database, application="dravo-api-signals", pool_size=SIGNALS_AT_ONCE, idle=settings.idle
        )
        self.receiver = Receiver(settings, self._signal_engine)
        self.erasure_ledger = ledger_of(settings)
        self.keys = ApiKeys(self.database)
        self._tokens = DashboardTokens(settings) if configured(settings) else None
        self.authenticator = Authenticator(self.keys, self._tokens)
        self.read_counter = ReadCounter(self.database)
        self.promises = Promises(self.database)
        self.forced = ForcedRefreshLimit()
        self.replica = _replica(settings, self.database)
        self.listener = CompletionListener(
            settings.database, self.replica.own_writes if self.replica else None
        )
        self.refresher = Refresher(
            self.listener,
            wait_seconds=settings.refresh_wait_seconds,
            min_age=timedelta(seconds=settings.refresh_min_age_seconds),
        )

    def workspace(self, caller: Caller, *, newest: bool = False) -> Workspace:
        """Return the access to the rows of the caller's workspace; ``newest``: not from the replica."""
        if self.replica is None or newest:
            return Workspace(self.database, caller.workspace_id)
        reads = WorkspaceReads(self.replica, caller.workspace_id)
        return Workspace(self.database, caller.workspace_id, reads)

    def forced_refresh(self, caller: Caller) -> contextlib.AbstractAsyncContextManager[None]:
        """Return the context of a refresh whose result the workspace must see in its next reads."""
        return self.replica.forced_refresh(caller.workspace_id) if self.replica else contextlib.nullcontext()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connect, and run the background tasks until the context ends."""
        await self.database.open()
        tasks = [asyncio.create_task(keep_running(name, task)) for name, task in self._tasks().items()]
        try:
            yield
        finally:
            await cancel_all(tasks)
            await self.receiver.close()
            await self.keys.save_last_used()
            await self.read_counter.save()
            if self.replica is not None:
                await self.replica.close()
            await self.database.close()
            self._engine.dispose()
            self._signal_engine.dispose()

    def _tasks(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        tasks = {
            "listen": self.listener.run,
            "save_last_used": self._save_last_used,
            "save_reads": self._save_reads,
            "load_promises": self._load_promises,
            "apply_signals": self.receiver.run,
        }
        if self.replica is not None:
            tasks["watch_replica"] = self.replica.run
        if self._tokens is not None:
            tasks["fetch_issuer_keys"] = self._tokens.run
        return tasks

    async def _save_last_used(self) -> None:
        while True:
            await asyncio.sleep(LAST_USED_SAVED_EVERY.total_seconds())
            await self.keys.save_last_used()

    async def _save_reads(self) -> None:
        while True:
            await asyncio.sleep(SAVED_EVERY.total_seconds())
            rows = await self.read_counter.save()
            await self.receiver.report_reads(rows)

    async def _load_promises(self) -> None:
        while True:
            await self.promises.load()
            await asyncio.sleep(LOADED_EVERY.total_seconds())


def _sealer(settings: Settings) -> Sealer | None:
    """Return what seals the tokens of events; a sealing key, which opens nothing, is preferred."""
    if settings.sealing_key:
        return SealingKey(settings.sealing_key)
    return Vault(settings.secret_keys) if settings.secret_keys else None


def _replica(settings: Settings, primary: Database) -> Replica | None:
    url = settings.read_database_url
    return Replica(url.get_secret_value(), primary, settings) if url else None


def service_of(request: Request) -> Service:
    """Return the service that handles a request."""
    service: Service = request.app
    return service
