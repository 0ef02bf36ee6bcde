"""Sends a read to the replica where the replica may serve it, else to the primary."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final, LiteralString

import structlog

from api_stub.http import metrics
from api_stub.http.database import Database
from api_stub.http.errors import ApiError
from api_stub.replica.monitor import PROBED_EVERY, ReplicaMonitor, ReplicaState
from api_stub.replica.read_your_writes import ReadYourWrites
from shared.settings import Settings

_WAIT_SECONDS: Final = 1.0
"""How long a read waits for a connection to the replica before it takes the primary."""
_log = structlog.get_logger(__name__)


class Replica:
    """The replica of this process: its pool, its state, and the workspaces whose reads it must not serve."""

    def __init__(self, url: str, primary: Database, settings: Settings) -> None:
        self._primary = primary
        self._database = Database(url, idle=settings.idle, wait_seconds=_WAIT_SECONDS)
        self.monitor = ReplicaMonitor(url, primary, timedelta(seconds=settings.read_max_lag_seconds))
        self.own_writes = ReadYourWrites(primary, timedelta(seconds=settings.refresh_wait_seconds + 1))

    async def run(self) -> None:
        """Connect, and watch the replica until cancelled."""
        await self._database.open()
        while True:
            try:
                await self._watch()
            except Exception as error:  # noqa: BLE001 - a replica that nobody watches must not serve
                _log.exception("replica_not_watched")
                self.monitor.unreachable(type(error).__name__)
            await asyncio.sleep(PROBED_EVERY.total_seconds())

    async def _watch(self) -> None:
        before = self.monitor.state
        state = await self.monitor.probe()
        if state is ReplicaState.SERVING and before is ReplicaState.UNREACHABLE:
            await self._database.check()  # drops the connections that were lost meanwhile
        self.own_writes.forget(self.monitor.replayed)

    async def close(self) -> None:
        """Close every connection to the replica."""
        await self.monitor.close()
        await self._database.close()

    @asynccontextmanager
    async def forced_refresh(self, workspace_id: str) -> AsyncIterator[None]:
        """Refresh inside: from now on, until the result is replayed, the workspace reads the primary."""
        await self.own_writes.note(workspace_id)
        yield
        try:
            await self.own_writes.note(workspace_id)
        except ApiError as error:  # the note of the beginning still counts for a while; the answer is good
            _log.warning("forced_refresh_not_noted", detail=error.code)

    async def fetch(
        self, workspace_id: str, statement: LiteralString, parameters: Mapping[str, Any]
    ) -> list[tuple[Any, ...]]:
        """Run one reading statement of a workspace and return its rows. Raises `ApiError` (503)."""
        result = self._serves(workspace_id)
        if result == _SERVED:
            try:
                rows = await self._database.fetch_once(statement, parameters)
            except ApiError as error:
                if error.code == "timeout":  # the primary would need as long
                    raise
                if error.code != "conflict":
                    self.monitor.unreachable(error.code)
                result = "failed"
            else:
                metrics.REPLICA_READS.labels(_SERVED).inc()
                return rows
        metrics.REPLICA_READS.labels(result).inc()
        return await self._primary.fetch(statement, parameters)

    def _serves(self, workspace_id: str) -> str:
        if self.monitor.state is not ReplicaState.SERVING:
            return str(self.monitor.state)
        if self.own_writes.needs_primary(workspace_id, self.monitor.replayed):
            return "refreshed"
        return _SERVED


_SERVED: Final = "served"


class WorkspaceReads:
    """The reads of one workspace, from the replica where it may serve them."""

    def __init__(self, replica: Replica, workspace_id: str) -> None:
        self._replica = replica
        self._workspace_id = workspace_id

    async def fetch(
        self, statement: LiteralString, parameters: Mapping[str, Any] | None = None
    ) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows. Raises `ApiError` (503)."""
        return await self._replica.fetch(self._workspace_id, statement, parameters or {})
