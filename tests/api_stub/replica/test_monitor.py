"""What the monitor makes of the answers of both servers, without a server."""

import asyncio
from datetime import timedelta
from typing import Any, cast

import psycopg
import pytest

from api_stub.http.database import Database
from api_stub.http.errors import unavailable
from api_stub.replica.monitor import _OF_PRIMARY, PROBE_SECONDS, ReplicaMonitor, ReplicaState, _Probe
from tests.servers import connect

US = (7, 5)
"""The identity of our cluster and our database."""


def answered(
    replayed: int, age: float, *, in_recovery: bool = True, identity: tuple[int, int] = US
) -> _Probe:
    """Return what a replica answers."""
    return _Probe(replayed, age, in_recovery, identity)


class Primary:
    """A primary at the position 200."""

    away = False

    async def fetch(self, _: str) -> list[tuple[Any, ...]]:
        """Return the position and the identity."""
        if self.away:
            raise unavailable("database_unavailable", "An error.")
        return [(200, *US)]


def monitored(answer: _Probe | Exception) -> tuple[ReplicaMonitor, Primary]:
    """Return a monitor whose replica gives this answer, at the instant 1,000."""
    primary = Primary()
    monitor = ReplicaMonitor(
        "postgresql://u@127.0.0.1:1/d", cast(Database, primary), timedelta(seconds=10), lambda: 1_000.0
    )

    async def ask() -> _Probe:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monitor._ask = ask  # type: ignore[method-assign]  # the connection's place
    return monitor, primary


@pytest.mark.parametrize(
    ("answer", "state", "lag"),
    [
        (answered(200, 3_600.0), ReplicaState.SERVING, 0.0),
        (answered(100, 10.0), ReplicaState.SERVING, 10.0),
        (answered(100, 10.1), ReplicaState.BEHIND, 10.1),
        (answered(200, 0.0, in_recovery=False), ReplicaState.FOREIGN, None),
        (answered(200, 0.0, identity=(8, 5)), ReplicaState.FOREIGN, None),
        (answered(200, 0.0, identity=(7, 6)), ReplicaState.FOREIGN, None),
        (psycopg.OperationalError(), ReplicaState.UNREACHABLE, None),
        (OSError(), ReplicaState.UNREACHABLE, None),
    ],
)
def test_state_follows_the_answer_of_the_replica(
    answer: _Probe | Exception, state: ReplicaState, lag: float | None
) -> None:
    monitor, _ = monitored(answer)
    assert monitor.state is ReplicaState.STARTING
    monitor.lag_seconds = 99.0

    assert asyncio.run(monitor.probe()) is monitor.state is state

    assert monitor.lag_seconds == (None if lag is None else pytest.approx(lag))
    assert monitor.replayed == (answer.replayed if isinstance(answer, _Probe) else 0)


def test_nothing_is_learnt_of_the_replica_while_the_primary_does_not_answer() -> None:
    monitor, primary = monitored(answered(200, 0.0))
    asyncio.run(monitor.probe())
    primary.away = True
    monitor._ask = None  # type: ignore[assignment, method-assign]  # it is not asked

    assert asyncio.run(monitor.probe()) is ReplicaState.SERVING


def test_identity_is_that_of_the_cluster_and_the_database(database_url: str) -> None:
    with connect(database_url) as connection:
        _, *identity = connection.execute(_OF_PRIMARY).fetchall()[0]
        (cluster,) = connection.execute("SELECT system_identifier FROM pg_control_system()").fetchall()[0]
        by_name = "SELECT oid FROM pg_database WHERE datname = current_database()"
        (oid,) = connection.execute(by_name).fetchall()[0]

    assert identity == [cluster, oid]


def test_probe_has_a_few_seconds() -> None:
    assert 0 < PROBE_SECONDS <= 3
