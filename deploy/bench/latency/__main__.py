"""``make bench-latency``: how long somebody waits, while the fleet is idle and while many rows are due."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import httpx

from deploy.bench.api.services import api
from deploy.bench.latency.waits import Pipeline, first_row, forced, resync
from deploy.bench.local_stack import DRAVO
from deploy.bench.throughput.fleet import Fleet, fleet
from deploy.bench.throughput.rows import Database, bench_database, load, make_due
from deploy.bench.work_directory import SHIPPED, work_directory
from deploy.console import show
from deploy.local.servers.postgres import Postgres
from deploy.local.servers.valkey import Valkey
from shared import database as databases
from shared.accounts.vault import new_key
from shared.vocabulary import Platform

HERE: Final = Path(__file__).parents[3]
_WORKSPACES: Final = 20
_TOKEN: Final = "token-of-the-latency-benchmark-0123456789"  # noqa: S105 - of a server on loopback that ends with the run


def main() -> int:
    """Measure the waits, idle and with rows due, and print or append their table."""
    given = _arguments()
    key = new_key()
    with ExitStack() as stack:
        directory = stack.enter_context(work_directory())
        postgres = stack.enter_context(Postgres(directory / "postgres", SHIPPED))
        valkey = stack.enter_context(Valkey(directory / "valkey"))
        database = stack.enter_context(bench_database(postgres, "this", HERE))
        load(database, Platform.TIKTOK, given.due, 200, key)
        settings = {
            "DRAVO_DATABASE_URL": postgres.url_of("bench_this"),
            "DRAVO_REDIS_URL": valkey.url_of(1),
            "DRAVO_SECRET_KEYS": key,
            "DRAVO_INTERNAL_TOKEN": _TOKEN,
            "DRAVO_REFRESH_MIN_AGE_SECONDS": "0",
        }
        servers = postgres.pid, valkey.pid
        running = stack.enter_context(fleet(settings, HERE, servers, milliseconds=given.milliseconds))
        url = stack.enter_context(api(settings["DRAVO_DATABASE_URL"], **running.environment))
        client = stack.enter_context(httpx.Client(base_url=url, timeout=30, headers=_key(settings)))
        engine = databases.connect(settings["DRAVO_DATABASE_URL"], application="bench", pool_size=1)
        stack.callback(engine.dispose)
        pipeline = Pipeline(client, _TOKEN, database, engine, _posts(database), given.milliseconds / 1_000)
        _start(running, given.workers, given.threads)
        rows = [("idle", *_measure(pipeline, given.samples, "idle"))]
        make_due(database, [Platform.TIKTOK])
        running.wait_until_called()
        rows.append((f"{given.due:,} rows due", *_measure(pipeline, given.samples, "due")))
        left = database.execute("SELECT count(*) FROM refresh_state WHERE next_run_at <= now()").fetchone()
    _report(rows, given.milliseconds, left[0] if left else 0, given.report)
    return 0


def _start(running: Fleet, workers: int, threads: int) -> None:
    running.start("scheduler", "scheduler")
    for _ in range(workers):
        running.start("worker", "worker", DRAVO_WORKER_THREADS=str(threads))
    running.wait_until_alive(workers)


def _key(settings: dict[str, str]) -> dict[str, str]:
    command = [DRAVO, "keys", "create", "--workspace", "ws_0", "--json"]
    made = subprocess.run(command, env={**os.environ, **settings}, check=True, capture_output=True)
    return {"Authorization": f"Bearer {json.loads(made.stdout)['key']}"}


def _posts(database: Database) -> Iterator[tuple[int, str, str]]:
    rows = database.execute(
        "SELECT id, post_id, workspace_id FROM publications WHERE workspace_id = 'ws_0' ORDER BY md5(post_id)"
    ).fetchall()
    return iter(rows)


def _measure(pipeline: Pipeline, samples: int, name: str) -> list[str]:
    """Return the quantiles of each wait; the waits alternate, so that they meet the same load."""
    waits: dict[str, Callable[[int], float]] = {
        "event": lambda number: first_row(pipeline, f"evt_{name}_{number}"),
        "forced": lambda _: forced(pipeline),
        "resync": lambda _: resync(pipeline),
    }
    seconds: dict[str, list[float]] = {wait: [] for wait in waits}
    for number in range(samples + 1):
        for wait, measured in waits.items():
            took = measured(number)
            if number:  # the first one warms connections up
                seconds[wait].append(took)
    return [_quantiles(each) for each in seconds.values()]


def _quantiles(seconds: Sequence[float]) -> str:
    ascending = sorted(seconds)
    at = [ascending[min(len(ascending) - 1, int(len(ascending) * part))] for part in (0.5, 0.95, 0.99)]
    return " / ".join(f"{1_000 * one:.0f}" for one in at)


def _report(rows: Sequence[Sequence[str]], milliseconds: float, left: int, report: Path | None) -> None:
    head = ("fleet", "event to first row", "`refresh=true` beyond the platform's time", "re-sync to done")
    lines = [
        f"## Latency: p50 / p95 / p99 in ms; a platform call takes {milliseconds:.0f} ms",
        "",
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
        f"{left:,} rows were still due at the end (0: the second line measured an idle fleet at last).",
        "",
    ]
    show("\n".join(lines))
    if report:
        with report.open("a") as file:
            file.write("\n".join(lines) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=60, help="of each wait")
    parser.add_argument("--due", type=int, default=200_000, help="rows that are due")
    parser.add_argument("--milliseconds", type=float, default=50, help="the time of each platform call")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=8, help="of each worker")
    parser.add_argument("--report", type=Path, help="append the table to this file")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
