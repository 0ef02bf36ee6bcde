"""One measurement: the fleet works on rows that are due, and a window in the middle is counted."""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from deploy.bench.throughput.fleet import Fleet
from deploy.bench.throughput.rows import Database, make_due
from shared.vocabulary import Platform


@dataclass(frozen=True, slots=True)
class Shape:
    """The fleet to measure, and for how long."""

    workers: int = 2
    threads: int = 8
    schedulers: int = 1
    seconds: float = 8
    warm_up: float = 2


@dataclass(frozen=True, slots=True)
class Figures:
    """What one window showed."""

    rows_per_second: float
    calls_per_second: float
    rows_left: int
    """Rows that were due when the window ended: 0 means that it measured nothing but the end."""
    cpu: Mapping[str, float]
    """Microseconds of CPU time per row, by process."""
    memory: Mapping[str, float]
    """Resident megabytes at load of the largest process of each name."""

    @property
    def line(self) -> str:
        """The figures in one line."""
        memory = "  ".join(f"{name} {self.memory[name]:.0f}" for name in ("worker", "scheduler"))
        cpu = "  ".join(f"{name} {micros:.0f}" for name, micros in self.cpu.items())
        return (
            f"{self.rows_per_second:7.0f} rows/s {self.calls_per_second:7.1f} calls/s"
            f"  {self.rows_left:7} left  µs a row: {cpu}  MB: {memory}"
        )


def measure(running: Fleet, database: Database, platforms: Sequence[Platform], shape: Shape) -> Figures:
    """Start the services, measure a window, and stop them."""
    make_due(database, platforms)
    for _ in range(shape.schedulers):
        running.start("scheduler", "scheduler")
    for _ in range(shape.workers):
        running.start("worker", "worker", DRAVO_WORKER_THREADS=str(shape.threads))
    running.wait_until_alive(shape.workers)
    running.wait_until_called()
    time.sleep(shape.warm_up)
    sys.stderr.write("measuring\n")
    began, before, served = _instant(database), running.cpu(), running.served()
    time.sleep(shape.seconds)
    ended, after, served_then = _instant(database), running.cpu(), running.served()
    memory = running.memory()
    left = one(database, "SELECT count(*) FROM refresh_state WHERE next_run_at <= now()")
    running.kill("scheduler", "worker")
    rows = one(
        database,
        "SELECT count(*) FROM post_analytics WHERE last_updated_at >= %s AND last_updated_at < %s",
        began,
        ended,
    )
    seconds = (ended - began).total_seconds()
    return Figures(
        rows / seconds,
        (served_then["requests"] - served["requests"]) / seconds,
        left,
        {name: 1e6 * (after[name] - before[name]) / max(rows, 1) for name in after},
        memory,
    )


def bytes_per_publication(database: Database) -> Mapping[str, float]:
    """Return what one publication takes in PostgreSQL by table, indexes and dead rows included."""
    rows = max(int(one(database, "SELECT count(*) FROM publications")), 1)
    sizes = database.execute(_SIZES).fetchall()
    return {str(name): size / rows for name, size in sizes if size / rows >= 1}


_SIZES: Final = """
SELECT COALESCE(p.parent, c.relname), sum(pg_total_relation_size(c.oid))::float8
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN (SELECT i.inhrelid, i.inhparent::regclass::text AS parent FROM pg_inherits i) p
    ON p.inhrelid = c.oid
 WHERE c.relkind = 'r' AND n.nspname = 'public' GROUP BY 1 ORDER BY 2 DESC
"""


def _instant(database: Database) -> datetime:
    instant: datetime = one(database, "SELECT clock_timestamp()")
    return instant


def one(database: Database, query: str, *parameters: object) -> Any:
    """Return the first column of the first row."""
    row = database.execute(query.encode(), parameters).fetchone()
    return row[0] if row else None
