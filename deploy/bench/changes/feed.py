"""How fast one API process serves the delta feed: a walk from the beginning, several at once, empty polls."""

import re
import threading
import time
from typing import Any, Final

import httpx
import psycopg
from sqlalchemy.engine import make_url

from deploy.bench.api import api_rows
from deploy.bench.api.services import api
from deploy.bench.load import measure
from deploy.bench.work_directory import work_directory
from deploy.console import show
from deploy.local.servers.postgres import Postgres
from shared import database
from shared.accounts.api_keys import create_key

_SERVER: Final = {"shared_buffers": "1GB", "max_wal_size": "8GB", "fsync": "off", "synchronous_commit": "off"}
_PATH: Final = "/v1/analytics/changes"
_LIMIT: Final = 500
_CURSOR: Final = re.compile(rb'"cursor":"([^"]+)","has_more":(true|false)}\Z')
_CHANGE: Final = b'"change":"'


def measure_feed(rows: int, walkers: int, seconds: float) -> dict[str, Any]:
    """Load rows, measure, print, and return the figures."""
    with work_directory() as directory, Postgres(directory / "postgres", _SERVER) as server:
        database.migrate(server.url)
        engine = database.connect(server.url, application="bench", statement_seconds=3_600)
        with engine.connect() as connection:
            api_rows.load(connection, rows)
        with engine.begin() as connection:
            key = create_key(connection, api_rows.LARGE, "bench")[1]
        engine.dispose()
        plain = make_url(server.url).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(plain, autocommit=True) as admin:
            admin.execute("VACUUM ANALYZE")
        with api(server.url) as address:
            return _measure(address, key, rows, walkers, seconds)


def _measure(address: str, key: str, rows: int, walkers: int, seconds: float) -> dict[str, Any]:
    began = time.monotonic()
    walked, cursor = _walk(address, key, until=float("inf"))
    took = time.monotonic() - began
    show(f"  {rows} rows: first walk of {walked} changes {took:6.1f} s ({walked / took:7.0f} changes/s)")
    together = [0] * walkers
    ends = time.monotonic() + seconds
    threads = [
        threading.Thread(target=lambda place=place: together.__setitem__(place, _walk(address, key, ends)[0]))
        for place in range(walkers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = sum(together) / seconds
    show(f"  {rows} rows: {walkers} walks at once {rate:7.0f} changes/s from one API process")
    polls = measure(address, [f"{_PATH}?cursor={cursor}"], token=key, connections=4, seconds=seconds)
    p50, p99 = polls.quantile(0.5), polls.quantile(0.99)
    show(f"  {rows} rows: empty polls {polls.per_second:6.0f}/s   p50 {p50:5.2f} ms   p99 {p99:5.2f} ms")
    return {
        "rows": rows,
        "first_walk_seconds": took,
        "changes": walked,
        "changes_per_second": rate,
        "empty_poll_p99_ms": p99,
    }


def _walk(address: str, key: str, until: float) -> tuple[int, str]:
    """Follow the feed from the beginning until it is caught up or time is up; return changes and cursor."""
    changes, cursor = 0, ""
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=address, headers=headers, timeout=60, trust_env=False) as client:
        while time.monotonic() < until:
            parameters = {"limit": str(_LIMIT), **({"cursor": cursor} if cursor else {})}
            answer = client.get(_PATH, params=parameters)
            answer.raise_for_status()
            match = _CURSOR.search(answer.content)
            if match is None:
                raise RuntimeError("the page has no cursor")
            changes += answer.content.count(_CHANGE)
            cursor = match[1].decode()
            if match[2] == b"false":
                break
    return changes, cursor
