"""One measurement: the fleet works on rows that are due, and a window in the middle is counted."""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

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

    @property
    def line(self) -> str:
        """The figures in one line."""
        cpu = "  ".join(f"{name} {micros:.0f}" for name, micros in self.cpu.items())
        return (
            f"{self.rows_per_second:7.0f} rows/s {self.calls_per_second:7.1f} calls/s"
            f"  {self.rows_left:7} left  µs a row: {cpu}"
        )


def measure(running: Fleet, database: Database, platforms: Sequence[Platform], shape: Shape) -> Figures:
    """Start the services, measure a window, and stop them."""
    make_due(database, platforms)
    for _ in range(shape.schedulers):
        running.start("scheduler", "scheduler")
    for _ in range(shape.workers):
        running.start("worker", "worker", DRAVO_WORKER_THREADS=str(shape.threads))
    running.wait_until_called()
    time.sleep(shape.warm_up)
    sys.stderr.write("measuring\n")
    began, before, served = _instant(database), running.cpu(), running.served()
    time.sleep(shape.seconds)
    ended, after, served_then = _instant(database), running.cpu(), running.served()
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
    )


def _instant(database: Database) -> datetime:
    instant: datetime = one(database, "SELECT clock_timestamp()")
    return instant


def one(database: Database, query: str, *parameters: object) -> Any:
    """Return the first column of the first row."""
    row = database.execute(query.encode(), parameters).fetchone()
    return row[0] if row else None
