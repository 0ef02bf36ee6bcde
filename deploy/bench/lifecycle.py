"""``make bench-lifecycle``: an erasure and retention beside refreshes and reads.

Fills a year of history. Refreshes (an update of 50 analytics rows with 50 new readings) and reads (the
history of one post) go on all the time; the work beside them runs in every second window of a few seconds,
with the rests that a scheduler makes, so that both sides see the same machine. `make rehearse-restore` times
a restore.
"""

import argparse
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import psycopg
from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from deploy.bench.work_directory import work_directory
from deploy.console import show
from deploy.local.servers.postgres import Postgres
from deploy.local.servers.valkey import Valkey
from shared import database, redis_client
from shared.erasure import requests, subject
from shared.erasure.run import step as erase
from shared.retention.policy import Retention
from shared.retention.run import step as retain

_SERVER: Final = {"shared_buffers": "512MB", "max_wal_size": "4GB"}
_WINDOW_SECONDS: Final = 4.0
_LONGEST_REST: Final = 5.0
RESTS: Final = 11.0
"""As `scheduler.maintenance.erasures.RESTS`."""
_AT_ONCE: Final = 50
_FILL: Final = """
INSERT INTO accounts (account_id, workspace_id, platform, platform_account_id)
VALUES ('acc_gone', 'ws_1', 'tiktok', 'page_gone'), ('acc_kept', 'ws_1', 'tiktok', 'page_kept');
INSERT INTO publications
       (workspace_id, post_id, account_id, platform, platform_post_id, text, created_at)
SELECT 'ws_1', account_id || '_' || n, account_id, 'tiktok', account_id || n, repeat('word ', 20),
       now() - n * interval '30 minutes'
  FROM (VALUES ('acc_gone', {gone}), ('acc_kept', {unchanged})) AS a (account_id, most)
 CROSS JOIN LATERAL generate_series(1, most) n;
INSERT INTO post_analytics (publication_id) SELECT id FROM publications;
INSERT INTO refresh_state (publication_id, account_id, next_run_at, reason)
SELECT id, account_id, now() + interval '1 day', 'stale' FROM publications;
SELECT make_snapshot_partition((now() - n * interval '1 month')::date) FROM generate_series(0, 12) n
"""
# The readings of one instant together, as refreshes write them: those of one publication lie far apart.
_READINGS: Final = """
INSERT INTO snapshots
SELECT id, at, at, 1, 1, 'synced',
       jsonb_build_object('view_count', 4000 - n, 'like_count', n, 'comment_count', n, 'share_count', n)
  FROM publications, (VALUES (%(n)s, now() - %(age)s)) AS reading (n, at)
"""
_REFRESH: Final = """
WITH chosen AS (SELECT unnest(%(ids)s::bigint[]) AS id), written AS (
    UPDATE post_analytics SET metrics = '{"view_count": 1}', last_updated_at = clock_timestamp()
     WHERE publication_id IN (SELECT id FROM chosen))
INSERT INTO snapshots
SELECT id, clock_timestamp(), clock_timestamp(), 1, 1, 'synced', '{"view_count": 1}' FROM chosen
"""
_READ: Final = "SELECT * FROM snapshots WHERE publication_id = %(id)s ORDER BY taken_at DESC LIMIT 1000"


@dataclass
class _Load:
    """One kind of work that goes on beside, and how long each piece of it took."""

    url: str
    work: Callable[[psycopg.Connection, random.Random], object]
    seconds: list[tuple[float, float]] = field(default_factory=list)
    """When each piece began, and how long it took."""

    def run(self, stopping: threading.Event) -> None:
        """Work until ``stopping`` is set."""
        choice = random.Random(1)
        with psycopg.connect(_plain(self.url), autocommit=True) as connection:
            while not stopping.is_set():
                began = time.monotonic()
                self.work(connection, choice)
                self.seconds.append((began, time.monotonic() - began))

    def within(self, windows: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
        """Return the median of pieces per second over these windows, and p50 and p99 in milliseconds."""
        rates, used = [], []
        for start, end in windows:
            pieces = [took for began, took in self.seconds if start <= began < end]
            rates.append(len(pieces) / (end - start))
            used += pieces
        used.sort()
        p99 = used[min(len(used) - 1, int(len(used) * 0.99))]
        return statistics.median(rates), statistics.median(used) * 1000, p99 * 1000


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--publications", type=int, default=10_000, help="of the account that is erased")
    parser.add_argument("--others", type=int, default=2_000, help="publications of the other account")
    parser.add_argument("--readings", type=int, default=365, help="of each publication")
    parser.add_argument("--a-day", type=int, default=1, help="readings of each publication a day")
    parser.add_argument("--keep-days", type=int, default=200, help="how long retention keeps readings")
    arguments = parser.parse_args()
    with (
        work_directory() as directory,
        Postgres(directory / "postgres", _SERVER) as server,
        Valkey(directory / "valkey") as valkey,
    ):
        engine = _filled(server.url, arguments)
        client = redis_client.connect(valkey.url)
        with _loads(server.url) as loads:
            _request(engine)
            _measure("erasure", loads, lambda: erase(engine, client, None) is not None, rest=RESTS)
            policy = Retention.parse(f"on,readings={arguments.keep_days}d")
            _measure("retention of months", loads, lambda: retain(engine, policy) is not None, rest=2.0)
        engine.dispose()


def _filled(url: str, arguments: argparse.Namespace) -> Engine:
    database.migrate(url)
    values = {"gone": arguments.publications, "unchanged": arguments.others}
    with psycopg.connect(_plain(url), autocommit=True) as connection:
        for statement in _FILL.split(";"):
            connection.execute(statement.format(**values).encode())
        for n in range(arguments.readings, 0, -1):
            connection.execute(_READINGS, {"n": n, "age": n * timedelta(days=1) / arguments.a_day})
        connection.execute("VACUUM ANALYZE")
        (size,) = connection.execute(
            "SELECT pg_size_pretty(pg_database_size(current_database()))"
        ).fetchall()[0]
    publications = arguments.publications + arguments.others
    show(f"{publications} publications, {arguments.readings} readings each, {size}")
    return database.connect(url, application="bench", pool_size=3)


@contextmanager
def _loads(url: str) -> Iterator[dict[str, _Load]]:
    with psycopg.connect(_plain(url)) as connection:
        ids = [
            row[0] for row in connection.execute("SELECT id FROM publications WHERE account_id = 'acc_kept'")
        ]
    loads = {
        "refresh": _Load(
            url, lambda one, choice: one.execute(_REFRESH, {"ids": sorted(choice.sample(ids, _AT_ONCE))})
        ),
        "read": _Load(url, lambda one, choice: one.execute(_READ, {"id": choice.choice(ids)}).fetchall()),
    }
    stopping = threading.Event()
    threads = [threading.Thread(target=load.run, args=(stopping,)) for load in loads.values()]
    for thread in threads:
        thread.start()
    try:
        yield loads
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


def _request(engine: Engine) -> None:
    with engine.begin() as connection:
        erased = subject.account(connection, "acc_gone")
        if erased is None:
            raise LookupError("acc_gone")
        requests.request(connection, erased, "bench")


def _measure(name: str, loads: dict[str, _Load], step: Callable[[], bool], *, rest: float) -> None:
    """Run steps to the end in every second window, and compare the windows with those between."""
    busy: list[tuple[float, float]] = []
    quiet: list[tuple[float, float]] = []
    going_on, worked = True, 0.0
    while going_on:
        began = time.monotonic()
        time.sleep(_WINDOW_SECONDS)
        quiet.append((began, time.monotonic()))
        began = time.monotonic()
        while going_on and time.monotonic() < began + _WINDOW_SECONDS:
            at = time.monotonic()
            going_on = step()
            step_took = time.monotonic() - at
            worked += step_took
            time.sleep(min(step_took * rest, _LONGEST_REST))
        busy.append((began, time.monotonic()))
    took = sum(end - start for start, end in busy)
    show(f"{name}: {took:.1f} s in {len(busy)} windows, {worked:.1f} s of it at work")
    for kind, load in loads.items():
        without, beside = load.within(quiet), load.within(busy)
        show(
            f"  {kind}: {without[0]:.0f} -> {beside[0]:.0f} a second ({beside[0] / without[0] - 1:+.0%}),"
            f" p50 {without[1]:.1f} -> {beside[1]:.1f} ms, p99 {without[2]:.1f} -> {beside[2]:.1f} ms"
            f" ({beside[2] / without[2]:.2f} x)"
        )


def _plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


if __name__ == "__main__":
    main()
