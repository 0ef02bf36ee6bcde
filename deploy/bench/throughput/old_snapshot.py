"""``python -m deploy.bench.throughput.old_snapshot``: rows per second while a session holds a snapshot.

Measures the fleet alone, then in four windows while a session holds a snapshot as a backup does, then after
it has ended. Rows come due again and again: at full load faster than the fleet can refresh them.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import psycopg

from deploy.bench.throughput.__main__ import HERE
from deploy.bench.throughput.fleet import Fleet, fleet
from deploy.bench.throughput.measure import one
from deploy.bench.throughput.rows import Database, bench_database, load, make_due
from deploy.bench.work_directory import SHIPPED, work_directory
from deploy.console import show
from deploy.local.servers.postgres import Postgres
from deploy.local.servers.valkey import Valkey
from shared.accounts.vault import new_key
from shared.redis_client import connect
from shared.vocabulary import Platform

_FULL: Final = 1
"""Seconds after which a row is due again at full load."""
_WINDOWS: Final = 4
_SPREAD: Final = (
    "UPDATE refresh_state SET next_run_at = now() + random() * make_interval(secs => %(seconds)s)"
)
_HEAD: Final = (
    "| window | rows/s | of alone | due at its end | dead rows of refresh_state |\n|---|---|---|---|---|"
)


def main() -> int:
    """Measure."""
    given = _arguments()
    with ExitStack() as stack:
        directory = stack.enter_context(work_directory())
        postgres = stack.enter_context(Postgres(directory / "postgres", SHIPPED))
        valkey = stack.enter_context(Valkey(directory / "valkey"))
        database = stack.enter_context(bench_database(postgres, "snapshot", HERE))
        key, platform = new_key(), Platform(given.platform)
        load(database, platform, given.rows, given.accounts, key)
        url = valkey.url_of(1)
        settings = {
            "DRAVO_DATABASE_URL": postgres.url_of("bench_snapshot"),
            "DRAVO_REDIS_URL": url,
            "DRAVO_SECRET_KEYS": key,
        }
        running = stack.enter_context(fleet(settings, HERE, (postgres.pid, valkey.pid)))
        interval = _FULL
        if given.load < 1:
            with _services(running, database, platform, _FULL):
                capacity = _rows_per_second(database, given.warm_up + given.seconds / _WINDOWS)
            interval = max(_FULL, round(given.rows / (given.load * capacity)))
            show(f"{capacity:,.0f} rows/s at full load; each row is due again after {interval} s\n")
            with connect(url) as redis:
                redis.flushdb()
        show(_HEAD)
        with _services(running, database, platform, interval):
            _rows_per_second(database, max(given.warm_up, 2.0 * interval))
            _measure(database, given.seconds / _WINDOWS)
    return 0


@contextmanager
def _services(running: Fleet, database: Database, platform: Platform, interval: int) -> Iterator[None]:
    make_due(database, [platform])
    if interval > _FULL:
        database.execute(_SPREAD, {"seconds": interval})
    freshness = f"fixed:{interval}s"
    running.start("scheduler", "scheduler", DRAVO_FRESHNESS=freshness)
    for _ in range(2):
        running.start("worker", "worker", DRAVO_WORKER_THREADS="8", DRAVO_FRESHNESS=freshness)
    running.wait_until_alive(2)
    running.wait_until_called()
    yield
    running.kill("scheduler", "worker")


def _measure(database: Database, seconds: float) -> None:
    alone = _rows_per_second(database, seconds)
    _row(database, "alone", alone, alone)
    with psycopg.connect(database.info.dsn, password=database.info.password) as foreign:
        foreign.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        foreign.execute("SELECT count(*) FROM accounts")
        for number in range(1, _WINDOWS + 1):
            beside = _rows_per_second(database, seconds)
            _row(database, f"snapshot of {number * seconds:,.0f} s", beside, alone)
    _row(database, "ended", _rows_per_second(database, seconds), alone)


def _row(database: Database, window: str, rate: float, alone: float) -> None:
    due = one(database, "SELECT count(*) FROM refresh_state WHERE next_run_at <= now()")
    dead = one(database, "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'refresh_state'")
    show(f"| {window} | {rate:,.0f} | {rate / alone:.2f} | {due:,} | {dead:,} |")


def _rows_per_second(database: Database, seconds: float) -> float:
    """Count the refreshes of a window: each one appends a snapshot."""
    began = time.monotonic()
    first = one(database, "SELECT clock_timestamp()")
    time.sleep(seconds)
    rows = one(database, "SELECT count(*) FROM snapshots WHERE taken_at >= %s", first)
    return float(rows) / (time.monotonic() - began)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--platform", default="x")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--accounts", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=200, help="how long the session keeps the snapshot")
    parser.add_argument("--load", type=float, default=1, help="share of the fleet's capacity, at most 1")
    parser.add_argument("--warm-up", type=float, default=10)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
