"""What the triggers of the delta feed cost a refreshed row, end to end, with every row changed.

Runs ``dravo up`` and refreshes the same rows in turn with the triggers and without them. It compares CPU time
of the services and of PostgreSQL, because the wall clock of a busy machine says little.
"""

import os
import statistics
import time
from dataclasses import dataclass
from typing import Any, Final

import psutil

from deploy.bench.smoke import Bench, running, throughput, until
from deploy.console import show
from deploy.local.servers.server_process import free_port

_TRIGGER: Final = "ALTER TABLE post_analytics {} TRIGGER note_changed_analytics"
# Another value than the simulated platforms report: every read then changes its row.
_OUTDATE: Final = "UPDATE post_analytics SET metrics = jsonb_build_object('like_count', -1)"
_CHANGE: Final = """
EXPLAIN (ANALYZE, FORMAT JSON) UPDATE post_analytics
   SET metrics = jsonb_build_object('like_count', %(value)s::bigint) WHERE publication_id = ANY(%(ids)s)
"""
_IN_NO_ORDER: Final = "SELECT publication_id FROM post_analytics ORDER BY md5(publication_id::text)"
_BATCHES: Final = (20, 100)
_STATEMENTS: Final = 60
_DUE: Final = (
    "UPDATE refresh_state SET next_run_at = now(), reason = 'stale' WHERE account_id LIKE 'acc_load%'"
)
_COUNTERS: Final = """
SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'post_analytics'
"""


@dataclass(frozen=True, slots=True)
class Refreshes:
    """What the refresh of all rows took, per row."""

    cpu_microseconds: float
    wal_bytes: float
    hot_share: float


def measure_cost(publications: int, rounds: int) -> dict[str, Any]:
    """Return the medians with and without triggers; prints them."""
    with running(free_port()) as (bench, _), bench.database:
        throughput(bench, publications)
        took: dict[str, list[Refreshes]] = {"DISABLE": [], "ENABLE": []}
        for number in range(2 * rounds):
            # ABBA: what changes over time falls on both sides.
            state = "ENABLE" if number % 4 in {1, 2} else "DISABLE"
            took[state].append(_refresh_all(bench, state, publications))
        bench.database.execute(_TRIGGER.format("ENABLE").encode())  # an even number of rounds ends without
        bench.database.execute("VACUUM post_analytics, changes, publications")
        trigger = {size: _trigger_microseconds(bench, size) for size in _BATCHES}
        changes = bench.database.execute(
            "SELECT pg_table_size('changes'), pg_indexes_size('changes'), n_dead_tup, n_live_tup"
            " FROM pg_stat_user_tables WHERE relname = 'changes'"
        ).fetchone()
    without, having = _medians(took["DISABLE"]), _medians(took["ENABLE"])
    for name, one in (("without triggers", without), ("with triggers", having)):
        show(
            f"  {name:20} {one.cpu_microseconds:6.0f} µs CPU a row   {one.wal_bytes:6.0f} B of WAL a row"
            f"   {one.hot_share:5.1%} HOT updates of post_analytics"
        )
    for size, microseconds in trigger.items():
        show(
            f"  the trigger itself, {size:3} rows a statement: {microseconds:5.1f} µs a row,"
            f" {microseconds / without.cpu_microseconds:.1%} of a row's CPU time without triggers"
        )
    cpu = having.cpu_microseconds / without.cpu_microseconds - 1
    wal = having.wal_bytes / without.wal_bytes - 1
    show(f"  added: {cpu:+.1%} CPU, {wal:+.1%} WAL; changes (bytes, in indexes, dead, live): {changes}")
    return {"publications": publications, "added_cpu": cpu, "added_wal": wal, "trigger": trigger}


def _trigger_microseconds(bench: Bench, size: int) -> float:
    """Return the median time of the trigger for a row of a statement, as PostgreSQL measures it."""
    ids = [row[0] for row in bench.database.execute(_IN_NO_ORDER)]
    took = []
    for number in range(_STATEMENTS):
        chosen = sorted(ids[(number * size + place) % len(ids)] for place in range(size))
        bound = {"ids": chosen, "value": number}
        (plan,) = bench.database.execute(_CHANGE.encode(), bound).fetchall()[0]
        took += [
            one["Time"] * 1000 / size
            for one in plan[0]["Triggers"]
            if one["Trigger Name"] == "note_changed_analytics"
        ]
    return float(statistics.median(took))


def _refresh_all(bench: Bench, state: str, publications: int) -> Refreshes:
    bench.database.execute(_TRIGGER.format("DISABLE").encode())
    bench.database.execute(_OUTDATE.encode())
    bench.database.execute(_TRIGGER.format(state).encode())
    bench.database.execute("VACUUM post_analytics, refresh_state, changes, snapshots")
    bench.database.execute("CHECKPOINT")
    updates, hot = _updates(bench)
    began_at, wal = bench.one("SELECT now()"), bench.one("SELECT pg_current_wal_lsn()::text")
    cpu = _cpu_seconds()
    bench.database.execute(_DUE.encode())
    # Looked up rarely: counting the rows would cost more than what is measured.
    until(lambda: _later() and bench.synced("load", began_at) == publications, "a round of reads")
    spent = _cpu_seconds() - cpu
    written = bench.one("SELECT pg_current_wal_lsn() - %s::pg_lsn", wal)
    more_updates, more_hot = _updates(bench)
    return Refreshes(
        cpu_microseconds=spent / publications * 1e6,
        wal_bytes=float(written) / publications,
        hot_share=(more_hot - hot) / max(1, more_updates - updates),
    )


def _updates(bench: Bench) -> tuple[int, int]:
    bench.database.execute("SELECT pg_stat_force_next_flush()")
    row = bench.database.execute(_COUNTERS).fetchone()
    assert row is not None  # noqa: S101 - the table exists
    return row[0], row[1]


def _cpu_seconds() -> float:
    """Return the CPU time of all processes that this one has started, ended ones included."""
    total = 0.0
    for process in psutil.Process(os.getpid()).children(recursive=True):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue  # its parent has its time
        total += times.user + times.system + times.children_user + times.children_system
    return total


def _medians(rounds: list[Refreshes]) -> Refreshes:
    return Refreshes(
        *(
            statistics.median(getattr(one, name) for one in rounds)
            for name in ("cpu_microseconds", "wal_bytes", "hot_share")
        )
    )


def _later() -> bool:
    time.sleep(1)
    return True
