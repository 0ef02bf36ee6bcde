"""PostgreSQL restarted, hung, out of disk space, its sessions terminated, its tables locked."""

import os
import subprocess
from collections.abc import Callable
from typing import Literal

import psutil
import psycopg

from tests.faults.harness.environment import LEASE, THREADS, Environment
from tests.faults.harness.fleet import frozen
from tests.faults.harness.waiting import sleep_for, wait_until
from tests.faults.judge.invariants import Tolerance
from tests.faults.matrix import Fault, RoundContext

_EVERY_JOB = 2 * THREADS
"""The jobs that all workers run at once."""
_SMALL_FILE = 65_536


def restarted(mode: Literal["fast", "immediate"]) -> Callable[[RoundContext], None]:
    """Restart the server; "immediate" simulates a crash."""

    def inject(context: RoundContext) -> None:
        sleep_for(context.random.uniform(0, 0.5))
        context.environment.postgres.restart(mode)

    return inject


def hung(context: RoundContext) -> None:
    """Freeze the server with all its backends: connections stay open, and no response arrives."""
    with frozen(context.environment.postgres.pid):
        sleep_for(context.seconds(2, 20))


def backends_terminated(context: RoundContext) -> None:
    """Terminate random sessions of the services, several times in a row."""
    environment = context.environment
    for _ in range(int(context.seconds(5, 20))):
        sleep_for(context.random.uniform(0.05, 0.3))
        environment.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'dravo-%%' AND random() < 0.5"
        )


def table_locked(context: RoundContext) -> None:
    """Hold an exclusive lock on a table."""
    table = context.random.choice(("refresh_state", "post_analytics", "accounts", "snapshots"))
    with context.environment.database() as connection, connection.transaction():
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        sleep_for(context.seconds(2, 20))


def long_transaction(context: RoundContext) -> None:
    """Keep a snapshot open, so that vacuum cannot remove dead tuples."""
    with context.environment.database() as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT count(*) FROM refresh_state")
        sleep_for(context.seconds(2, 300))


def disk_full(context: RoundContext) -> None:
    """Limit the size of the server's files, like a full disk, until the server stops; then lift the limit.

    A file size limit, because a disk that is really full would affect other programs.
    """
    server = psutil.Process(context.environment.postgres.pid)
    owner, group = (server.uids().real, server.gids().real) if os.geteuid() == 0 else (None, None)
    for process in (server, *server.children(recursive=True)):
        command = ["prlimit", f"--pid={process.pid}", f"--fsize={_SMALL_FILE}:"]
        # Unchecked: a backend may have ended by now.
        subprocess.run(command, user=owner, group=group, capture_output=True, check=False)
    try:
        wait_until(lambda: not _answers(context.environment), 30, "a server that has stopped")
        sleep_for(context.seconds(0.5, 10))
    finally:
        context.environment.postgres.restart("immediate")


def _answers(environment: Environment) -> bool:
    try:
        return bool(environment.value("SELECT TRUE"))
    except psycopg.OperationalError:
        return False


def month_without_partition(context: RoundContext) -> None:
    """Drop the partition of this month; the scheduler creates it at its next start."""
    environment = context.environment
    month: str = environment.value("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')")
    partition = f"snapshots_{month}"
    with environment.database() as connection, connection.transaction():
        connection.execute("LOCK TABLE snapshots IN ACCESS EXCLUSIVE MODE")
        connection.execute("CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM snapshots")
        connection.execute(f"DROP TABLE {partition}".encode())
        connection.execute("TRUNCATE snapshots")
        connection.execute("INSERT INTO snapshots SELECT * FROM kept")
    environment.await_reads(environment.now(), 2 * LEASE.total_seconds())
    environment.fleet.stop(*environment.fleet.of("scheduler"))
    environment.fleet.start("scheduler", name="scheduler-a")
    wait_until(
        lambda: environment.value("SELECT to_regclass(%s) IS NOT NULL", partition),
        2 * LEASE.total_seconds(),
        "the month's partition",
    )


def default_partition_is_empty(environment: Environment) -> list[str]:
    """Return a breach when rows are left in the default partition."""
    left = environment.value("SELECT count(*) FROM snapshots_default")
    return [f"I3: {left} snapshots are in the default partition"] if left else []


_ONCE = Tolerance(lost_jobs=_EVERY_JOB)

FAULTS = (
    Fault("PostgreSQL restarted fast", restarted("fast"), _ONCE),
    Fault("PostgreSQL restarted by a crash", restarted("immediate"), _ONCE),
    Fault("PostgreSQL hung", hung, _ONCE),
    Fault("PostgreSQL out of disk", disk_full, _ONCE, short=False),
    Fault("PostgreSQL backends terminated", backends_terminated, Tolerance(lost_jobs=20 * _EVERY_JOB)),
    Fault("a table locked", table_locked, _ONCE),
    Fault("a long transaction under load", long_transaction, short=False),
    Fault("a month without its partition", month_without_partition, after=default_partition_is_empty),
)
