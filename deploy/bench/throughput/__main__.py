"""``make bench-throughput``: rows refreshed per second and CPU time per row, by platform.

Starts PostgreSQL, Redis, one scheduler and workers of eight threads, makes all rows of a platform due, and measures
a window while there is still work. Contenders are interleaved: each round measures every platform with this checkout
and, with ``--against``, with another one.
"""

import argparse
import json
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from deploy.bench.throughput.fleet import Fleet, fleet
from deploy.bench.throughput.rows import load, make_due
from deploy.bench.work_directory import work_directory
from deploy.local.postgres import Postgres
from deploy.local.valkey import Valkey
from shared.accounts.vault import new_key
from shared.vocabulary import Platform

HERE = Path(__file__).parents[3]
Database = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True)
class Options:
    workers: int
    threads: int
    seconds: float
    warmup: float
    milliseconds: float


@dataclass
class Stores:
    """The servers, and the database of each checkout."""

    postgres: Postgres
    valkey: Valkey
    key: str

    def settings(self, database: str, number: int) -> dict[str, str]:
        return {
            "DRAVO_DATABASE_URL": self.postgres.url_of(database),
            "DRAVO_REDIS_URL": self.valkey.url_of(number),
            "DRAVO_SECRET_KEYS": self.key,
        }

    def connect(self, database: str) -> Database:
        url = self.postgres.url_of(database).replace("postgresql+psycopg://", "postgresql://")
        return psycopg.connect(url, autocommit=True)


def _measure(running: Fleet, database: Database, platforms: list[Platform], options: Options) -> dict[str, Any]:
    make_due(database, platforms)
    running.start("scheduler", "scheduler")
    for _ in range(options.workers):
        running.start("worker", "worker", DRAVO_WORKER_THREADS=str(options.threads))
    until_refreshing(running)
    time.sleep(options.warmup)
    before, began = _sample(running, database)
    print("measuring", file=sys.stderr, flush=True)
    time.sleep(options.seconds)
    after, ended = _sample(running, database)
    running.wait_until_ready("worker")
    rows = _one(
        database,
        "SELECT count(*) FROM post_analytics WHERE last_updated_at >= %s AND last_updated_at < %s",
        began,
        ended,
    )
    left = _one(database, "SELECT count(*) FROM refresh_state WHERE next_run_at <= now()")
    running.stop("scheduler")
    running.stop("worker")
    seconds = (ended - began).total_seconds()
    cpu = {name: 1e6 * (after["cpu"][name] - before["cpu"][name]) / max(rows, 1) for name in after["cpu"]}
    return {
        "rows_per_second": rows / seconds,
        "calls_per_second": (after["served"]["requests"] - before["served"]["requests"]) / seconds,
        "rows_due_at_the_end": left,
        "cpu_microseconds_per_row": cpu,
    }


def until_refreshing(running: Fleet) -> None:
    first = running.served()["requests"]
    ends = time.monotonic() + 30
    while running.served()["requests"] == first:
        if time.monotonic() > ends:
            raise SystemExit("no call was made within 30 seconds")
        time.sleep(0.05)


def _sample(running: Fleet, database: Database) -> tuple[dict[str, Any], datetime]:
    now = _one(database, "SELECT clock_timestamp()")
    return {"cpu": running.cpu(), "served": running.served()}, now


def _one(database: Database, query: str, *parameters: object) -> Any:
    row = database.execute(query.encode(), parameters).fetchone()
    return row[0] if row else None


def _migrate(code: Path, url: str) -> None:
    program = "import sys; from shared.database import migrate; migrate(sys.stdin.read())"
    subprocess.run([sys.executable, "-c", program], cwd=code, input=url.encode(), check=True)  # noqa: S603 - our own code


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--platforms", default=",".join(Platform))
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--accounts", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--warmup", type=float, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--milliseconds", type=float, default=0)
    parser.add_argument("--against", type=Path)
    given = parser.parse_args()
    options = Options(given.workers, given.threads, given.seconds, given.warmup, given.milliseconds)
    platforms = [Platform(name) for name in given.platforms.split(",")]
    codes = {"this": HERE} | ({"other": given.against} if given.against else {})
    with ExitStack() as stack:
        directory = stack.enter_context(work_directory())
        postgres = stack.enter_context(Postgres(directory / "postgres"))
        valkey = stack.enter_context(Valkey(directory / "valkey"))
        stores = Stores(postgres, valkey, new_key())
        databases = {}
        for name, code in codes.items():
            with stores.connect("dravo") as admin:
                admin.execute(f"CREATE DATABASE bench_{name}".encode())
            _migrate(code, postgres.url_of(f"bench_{name}"))
            databases[name] = stack.enter_context(stores.connect(f"bench_{name}"))
            for platform in platforms:
                load(databases[name], platform, given.rows, given.accounts, stores.key)
        for _ in range(given.rounds):
            for platform in platforms:
                for number, (name, code) in enumerate(codes.items()):
                    with fleet(stores.settings(f"bench_{name}", number + 1), code, postgres.pid, valkey.pid, milliseconds=options.milliseconds) as running:
                        figures = _measure(running, databases[name], [platform], options)
                    cpu = "  ".join(f"{key} {value:.0f}" for key, value in figures["cpu_microseconds_per_row"].items())
                    print(f"{name:6} {platform:10} {figures['rows_per_second']:7.0f} rows/s {figures['calls_per_second']:6.1f} calls/s  left {figures['rows_due_at_the_end']:6}  us/row: {cpu}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
