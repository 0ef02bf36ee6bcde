"""How fast one API process serves the delta feed: a walk from the beginning, several at once, empty polls."""

import re
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, Final

import httpx
import psutil
import psycopg
from sqlalchemy.engine import make_url

from deploy.bench.api import api_rows
from deploy.bench.api.services import api
from deploy.bench.load import measure
from deploy.bench.usage import cpu_seconds
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
            process = next(one for one in psutil.Process().children() if "api_stub" in one.cmdline())
            return _measure(address, key, rows, walkers, seconds, (process.pid, server.pid))


def _measure(
    address: str, key: str, rows: int, walkers: int, seconds: float, processes: tuple[int, int]
) -> dict[str, Any]:
    # Walkers have processes of their own: what they cost is not the API's.
    with ProcessPoolExecutor(walkers, get_context("spawn")) as walking:
        list(walking.map(_walk, [address] * walkers, [key] * walkers, [0.0] * walkers))  # they have started
        before = [cpu_seconds(one) for one in processes]
        began = time.monotonic()
        walked, cursor = walking.submit(_walk, address, key, float("inf")).result()
        took = time.monotonic() - began
        of_api, of_server = (
            (cpu_seconds(one) - former) / walked * 1e6 for one, former in zip(processes, before, strict=True)
        )
        show(
            f"  {rows} rows: first walk of {walked} changes {took:6.1f} s ({walked / took:7.0f} changes/s);"
            f" CPU a change: API {of_api:.1f} µs, PostgreSQL {of_server:.1f} µs"
        )
        ends = time.monotonic() + seconds
        together = walking.map(_walk, [address] * walkers, [key] * walkers, [ends] * walkers)
        rate = sum(changes for changes, _ in together) / seconds
    show(f"  {rows} rows: {walkers} walks at once {rate:7.0f} changes/s from one API process")
    polls = measure(address, [f"{_PATH}?cursor={cursor}"], token=key, connections=4, seconds=seconds)
    p50, p99 = polls.quantile(0.5), polls.quantile(0.99)
    show(f"  {rows} rows: empty polls {polls.per_second:6.0f}/s   p50 {p50:5.2f} ms   p99 {p99:5.2f} ms")
    return {
        "rows": rows,
        "first_walk_seconds": took,
        "changes": walked,
        "changes_per_second": rate,
        "api_cpu_us_a_change": of_api,
        "postgresql_cpu_us_a_change": of_server,
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
