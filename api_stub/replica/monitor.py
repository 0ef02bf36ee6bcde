"""Watches the replica: whether it is a standby of our primary, and how far it is behind."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum
from math import nan
from typing import Final, NamedTuple

import psycopg
import structlog
from psycopg import AsyncConnection

from api_stub.http import metrics
from api_stub.http.database import ROLE, Connection, Database, conninfo, shut_down_after
from api_stub.http.errors import ApiError
from api_stub.replica.lag import ReplicationLag
from shared.database import ASSUME_ROLE

PROBED_EVERY: Final = timedelta(seconds=1)
PROBE_SECONDS: Final = 2
"""How long a probe may take; a replica that does not answer by then is unreachable."""

_IDENTITY: Final = """
       (SELECT system_identifier FROM pg_control_system()),
       (SELECT oid::bigint FROM pg_database WHERE datname = current_database())
"""
_OF_PRIMARY: Final = f"SELECT (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint, {_IDENTITY}"
_OF_REPLICA: Final = f"""
SELECT COALESCE((pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint, 0),
       extract(epoch FROM now() - pg_last_xact_replay_timestamp())::float8, pg_is_in_recovery(), {_IDENTITY}
"""
_log = structlog.get_logger(__name__)


class ReplicaState(StrEnum):
    """Whether the replica serves reads."""

    STARTING = "starting"
    """It was not asked yet."""
    SERVING = "serving"
    BEHIND = "behind"
    """Its lag is above ``DRAVO_READ_MAX_LAG_SECONDS``."""
    UNREACHABLE = "unreachable"
    FOREIGN = "foreign"
    """It is no standby, or one of another cluster, or another database."""


class _Probe(NamedTuple):
    replayed: int
    age: float | None
    in_recovery: bool
    identity: tuple[int, int]


class ReplicaMonitor:
    """The state of the replica as the last probe found it."""

    def __init__(
        self, url: str, primary: Database, most: timedelta, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``most``: the lag up to which the replica serves reads."""
        self._conninfo = conninfo(url)
        self._primary = primary
        self._most = most.total_seconds()
        self._clock = clock
        self._connection: Connection | None = None
        self._probing = asyncio.Lock()
        self._lag = ReplicationLag()
        self.state = ReplicaState.STARTING
        self.replayed = 0
        """The replayed position of the write-ahead log, in bytes."""
        self.lag_seconds: float | None = None
        """``None`` while it is unknown."""
        self._export()

    async def probe(self) -> ReplicaState:
        """Ask both servers, and return the new state."""
        async with self._probing:
            return await self._probe()

    async def _probe(self) -> ReplicaState:
        try:
            primary, *identity = (await self._primary.fetch(_OF_PRIMARY))[0]
        except ApiError:  # nothing is learnt of the replica, and no caller can be authenticated either
            return self.state
        at = self._clock()
        try:
            probe = await self._ask()
        except (psycopg.Error, OSError) as error:
            self.unreachable(type(error).__name__)
            return self.state
        self.replayed = probe.replayed
        if not probe.in_recovery or probe.identity != tuple(identity):
            self.lag_seconds = None
            self._become(ReplicaState.FOREIGN)
            return self.state
        self.lag_seconds = self._lag.observe(at, primary, probe.replayed, probe.age)
        self._become(ReplicaState.BEHIND if self.lag_seconds > self._most else ReplicaState.SERVING)
        return self.state

    def unreachable(self, error: str) -> None:
        """Serve nothing from the replica until a probe succeeds."""
        self.lag_seconds = None
        self._become(ReplicaState.UNREACHABLE, error=error)

    async def close(self) -> None:
        """Close the connection to the replica."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _ask(self) -> _Probe:
        if self._connection is None or self._connection.closed:
            self._connection = await AsyncConnection.connect(
                self._conninfo,
                autocommit=True,
                application_name="dravo-api-replica",
                connect_timeout=PROBE_SECONDS,
            )
            with shut_down_after(self._connection, PROBE_SECONDS):
                await self._connection.execute(ASSUME_ROLE, {"role": ROLE})
        with shut_down_after(self._connection, PROBE_SECONDS):
            cursor = await self._connection.execute(_OF_REPLICA)
            replayed, age, in_recovery, *identity = (await cursor.fetchall())[0]
        return _Probe(replayed, age, in_recovery, (identity[0], identity[1]))

    def _become(self, state: ReplicaState, **detail: str) -> None:
        if state is not self.state:
            write = _log.info if state is ReplicaState.SERVING else _log.warning
            write("replica_state", state=state, was=self.state, lag_seconds=self.lag_seconds, **detail)
        self.state = state
        self._export()

    def _export(self) -> None:
        for state in ReplicaState:
            metrics.REPLICA_STATE.labels(state).set(state is self.state)
        metrics.REPLICA_LAG.set(nan if self.lag_seconds is None else self.lag_seconds)
