"""Faults of PostgreSQL: restarted, its backends shot, its tables locked, its horizon held."""

import os
import subprocess
from collections.abc import Callable
from typing import Literal

import psutil  # type: ignore[import-untyped]  # psutil publishes no types
import psycopg

from tests.faults.harness.environment import LEASE, THREADS, Stage
from tests.faults.harness.fleet import frozen
from tests.faults.harness.waiting import lasts, until
from tests.faults.judge.invariants import Allowed
from tests.faults.matrix import Fault, Scene

_EVERY_JOB = 2 * THREADS
"""What all workers together have in hand."""
_SMALL_FILE = 65_536


def restarted(mode: Literal["fast", "immediate"]) -> Callable[[Scene], None]:
    """Restart the server; "immediate" is a crash."""

    def act(scene: Scene) -> None:
        lasts(scene.random.uniform(0, 0.5))
        scene.stage.postgres.restart(mode)

    return act


def hung(scene: Scene) -> None:
    """Freeze the server with all its backends: connections stand, answers do not come."""
    with frozen(scene.stage.postgres.pid):
        lasts(scene.seconds(2, 20))


def backends_terminated(scene: Scene) -> None:
    """Terminate connections of our services at random, some times in a row."""
    stage = scene.stage
    for _ in range(int(scene.seconds(5, 20))):
        lasts(scene.random.uniform(0.05, 0.3))
        stage.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'dravo-%%' AND random() < 0.5"
        )


def table_locked(scene: Scene) -> None:
    """Hold an exclusive lock on a table."""
    table = scene.random.choice(("refresh_state", "post_analytics", "accounts", "snapshots"))
    with scene.stage.database() as connection, connection.transaction():
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        lasts(scene.seconds(2, 20))


def long_transaction(scene: Scene) -> None:
    """Hold the horizon: nothing that dies meanwhile can be vacuumed away."""
    with scene.stage.database() as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT count(*) FROM refresh_state")
        lasts(scene.seconds(2, 300))


def disk_full(scene: Scene) -> None:
    """Let no file of the server grow any more, as on a full disk, until it has given up; then make room.

    A limit on the size of files stands for the disk: filling one would be everybody's.
    """
    server = psutil.Process(scene.stage.postgres.pid)
    owner, group = (server.uids().real, server.gids().real) if os.geteuid() == 0 else (None, None)
    for process in (server, *server.children(recursive=True)):
        command = ["prlimit", f"--pid={process.pid}", f"--fsize={_SMALL_FILE}:"]
        # Unchecked: a backend may be gone by now.
        subprocess.run(command, user=owner, group=group, capture_output=True, check=False)
    try:
        until(lambda: not _answers(scene.stage), 30, "a server that has given up")
        lasts(scene.seconds(0.5, 10))
    finally:
        scene.stage.postgres.restart("immediate")


def _answers(stage: Stage) -> bool:
    try:
        return bool(stage.value("SELECT TRUE"))
    except psycopg.OperationalError:
        return False


def month_without_partition(scene: Scene) -> None:
    """Begin a month whose partition nobody made ahead; the scheduler's next look makes it."""
    stage = scene.stage
    month: str = stage.value("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')")
    partition = f"snapshots_{month}"
    with stage.database() as connection, connection.transaction():
        connection.execute("LOCK TABLE snapshots IN ACCESS EXCLUSIVE MODE")
        connection.execute("CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM snapshots")
        connection.execute(f"DROP TABLE {partition}".encode())
        connection.execute("TRUNCATE snapshots")
        connection.execute("INSERT INTO snapshots SELECT * FROM kept")
    stage.await_reads(stage.now(), 2 * LEASE.total_seconds())
    stage.fleet.end(*stage.fleet.of("scheduler"))
    stage.fleet.start("scheduler", name="scheduler-a")
    until(
        lambda: stage.value("SELECT to_regclass(%s) IS NOT NULL", partition),
        2 * LEASE.total_seconds(),
        "the month's partition",
    )


def default_partition_is_empty(stage: Stage) -> list[str]:
    """Check that what went to the default partition moved along."""
    left = stage.value("SELECT count(*) FROM snapshots_default")
    return [f"I3: {left} snapshots are in the default partition"] if left else []


_ONCE = Allowed(lost_jobs=_EVERY_JOB)

FAULTS = (
    Fault("PostgreSQL restarted fast", restarted("fast"), _ONCE),
    Fault("PostgreSQL restarted by a crash", restarted("immediate"), _ONCE),
    Fault("PostgreSQL hung", hung, _ONCE),
    Fault("PostgreSQL out of disk", disk_full, _ONCE, short=False),
    Fault("PostgreSQL backends terminated", backends_terminated, Allowed(lost_jobs=20 * _EVERY_JOB)),
    Fault("a table locked", table_locked, _ONCE),
    Fault("a long transaction under load", long_transaction, short=False),
    Fault("a month without its partition", month_without_partition, after=default_partition_is_empty),
)
