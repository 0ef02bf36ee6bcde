"""What the endpoints share: built once from the settings, started and stopped with the process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

from starlette.requests import Request

from api_stub.auth.api_keys import USE_NOTED_EVERY, Keys
from api_stub.auth.authenticator import Authenticator, Caller
from api_stub.auth.dashboard_tokens import Tokens, configured
from api_stub.events.event_log import EventLog
from api_stub.http.database import Database
from api_stub.posts.workspace import Workspace
from api_stub.refresh.refreshing import Refresher
from api_stub.refresh.throttle import ForcedRefreshes
from api_stub.refresh.waiting import Listener
from shared.accounts.vault import Sealer, SealingKey, Vault
from shared.database import connect
from shared.settings import Settings

EVENT_BATCHES: Final = 4
"""Batches of events that are committed at the same time."""


class Service:
    """The parts of a running read API. Raises `SettingsError` for token settings that do not fit."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = Database(settings.database, idle=settings.idle)
        self._engine = connect(
            settings.database,
            application="dravo-api-events",
            pool_size=EVENT_BATCHES,
            idle=settings.idle,
        )
        self.event_log = EventLog(self._engine, _sealer(settings), settings.without_token)
        self.keys = Keys(self.database)
        self._tokens = Tokens(settings) if configured(settings) else None
        self.authenticator = Authenticator(self.keys, self._tokens)
        self.forced = ForcedRefreshes()
        self.listener = Listener(settings.database)
        self.refresher = Refresher(
            self.listener,
            wait_seconds=settings.refresh_wait_seconds,
            min_age=timedelta(seconds=settings.refresh_min_age_seconds),
        )

    def workspace(self, caller: Caller) -> Workspace:
        """Return the door to the caller's rows, and to no others."""
        return Workspace(self.database, caller.workspace_id)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connect; run the background tasks until the end of the context."""
        await self.database.open()
        tasks = [asyncio.create_task(self.listener.run()), asyncio.create_task(self._note_use())]
        if self._tokens is not None:
            tasks.append(asyncio.create_task(self._tokens.run()))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.keys.note_use()
            await self.database.close()
            self._engine.dispose()

    async def _note_use(self) -> None:
        while True:
            await asyncio.sleep(USE_NOTED_EVERY.total_seconds())
            await self.keys.note_use()


def _sealer(settings: Settings) -> Sealer | None:
    """Return what seals the tokens of events: by choice that which cannot open them."""
    if settings.sealing_key:
        return SealingKey(settings.sealing_key)
    return Vault(settings.secret_keys) if settings.secret_keys else None


def service_of(request: Request) -> Service:
    """Return the service that a request is made to."""
    service: Service = request.app
    return service
