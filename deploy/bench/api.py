"""``make bench-api``: how fast the read API is beside a bare application that runs the same SQL.

Starts an embedded PostgreSQL, loads each number of rows over 2,000 workspaces, and measures the API and the
bare application in turn, in one run. Both are one process each, asked over loopback by the same client.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg
from sqlalchemy.engine import make_url

from deploy.bench import api_rows
from deploy.bench.load import Measured, measure
from deploy.console import show
from deploy.local.postgres import Postgres
from deploy.local.server_process import free_port
from shared import database
from shared.keys import create_key

_SERVER: Final = {
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "fsync": "off",
    "synchronous_commit": "off",
    "track_activity_query_size": "16384",
}
_POSTS: Final = "/v1/analytics/posts"
_ACCOUNT: Final = f"acc_{api_rows.LARGE}_2"
_RANGE: Final = "fromDate=2024-03-05T07:11:12Z&toDate=2025-07-19T21:00:01Z"
_READS: Final = {
    "page 1": "",
    "page 400": "page=400",
    "the last page": "page={last}",
    "accountId": f"accountId={_ACCOUNT}",
    "platform": "platform=x",
    "dates": _RANGE,
    "accountId, platform, dates": f"accountId={_ACCOUNT}&platform=x&{_RANGE}",
}
_PAGES: Final = {"the operators' page": "/ops", "its list of publications": "/ops/publications"}
_BARE_VALUES: Final = [["month"], ["0001-01-01"], ["9999-12-31"], api_rows.LARGE, [], [], 25, 0]
"""The values of the first page of the large workspace, in the order of the statement's parameters."""


def main() -> None:
    """Load, measure, print; ``--json`` for machines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each measurement")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--json", action="store_true", dest="as_json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dravo-bench-") as name:
        directory = Path(name)
        directory.chmod(0o711)  # the server may run as another user
        with Postgres(directory / "postgres", _SERVER) as server:
            results = [
                result
                for rows in arguments.rows
                for result in _bench(server, rows, arguments.seconds, arguments.connections)
            ]
    if arguments.as_json:
        show(json.dumps(results))


def _bench(server: Postgres, rows: int, seconds: float, connections: int) -> list[dict[str, Any]]:
    url, key, total = _fill(server, rows)
    show(f"\n{rows:,} rows, {total:,} of them in the large workspace; {connections} connections")
    results = []
    with _api(url) as address:
        for name, query in _READS.items():
            path = f"{_POSTS}?{query.format(last=total // 25)}"
            measured = measure(address, [path], token=key, connections=connections, seconds=seconds)
            results.append(_told(rows, f"api, {name}", measured))
            alone = measure(address, [path], token=key, connections=1, seconds=seconds / 2)
            results.append(_told(rows, f"api, {name}, one at a time", alone))
        httpx.get(f"{address}{_POSTS}", headers={"Authorization": f"Bearer {key}"}).raise_for_status()
        statement = _last_statement(url)
    with _bare(url, statement) as address:
        measured = measure(address, ["/"], connections=connections, seconds=seconds)
        results.append(_told(rows, "bare, page 1", measured))
    with _api(url, DRAVO_OPS_OPEN="true") as address:  # alone: its figures are counted beside it
        for name, path in _PAGES.items():
            measured = measure(address, [path], connections=1, seconds=seconds)
            results.append(_told(rows, f"{name}, one at a time", measured))
    return results


def _told(rows: int, what: str, measured: Measured) -> dict[str, Any]:
    p50, p99 = measured.quantile(0.5), measured.quantile(0.99)
    show(f"  {what:48} {measured.per_second:7.0f} requests/s   p50 {p50:7.2f} ms   p99 {p99:7.2f} ms")
    return {"rows": rows, "what": what, "per_second": measured.per_second, "p50_ms": p50, "p99_ms": p99}


def _fill(server: Postgres, rows: int) -> tuple[str, str, int]:
    name = f"bench_{rows}"
    with _admin(server.url_of("postgres")) as connection:
        connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))
    url = server.url_of(name)
    database.migrate(url)
    engine = database.connect(url, application="bench", statement_seconds=3_600)
    with engine.connect() as connection:
        api_rows.load(connection, rows)
    with engine.begin() as connection:
        key = create_key(connection, api_rows.LARGE, "bench")[1]
    engine.dispose()
    with _admin(url) as admin:
        admin.execute("VACUUM ANALYZE")
        counted = admin.execute("SELECT count(*) FROM publications WHERE workspace_id = %s", [api_rows.LARGE])
        found = counted.fetchone()
    return url, key, found[0] if found else 0


def _last_statement(url: str) -> str:
    """Return the SQL that the API ran last, as PostgreSQL was told it."""
    with _admin(url) as connection:
        found = connection.execute(
            "SELECT query FROM pg_stat_activity WHERE application_name = 'dravo-api'"
            " AND query LIKE '%post_analytics%' AND datname = current_database()"
            " ORDER BY query_start DESC LIMIT 1"
        ).fetchone()
    if found is None:
        raise RuntimeError("the read API has not run its page statement")
    return str(found[0])


@contextmanager
def _api(url: str, **more: str) -> Iterator[str]:
    port = free_port()
    environment = {"DRAVO_DATABASE_URL": url, "DRAVO_API_PORT": str(port), "DRAVO_LOG_FORMAT": "json", **more}
    with _process([sys.executable, "-P", "-m", "api_stub"], environment, port, "/readyz") as address:
        yield address


@contextmanager
def _bare(url: str, statement: str) -> Iterator[str]:
    port = free_port()
    environment = {
        "BARE_DATABASE": _plain(url),
        "BARE_STATEMENT": statement,
        "BARE_VALUES": json.dumps(_BARE_VALUES),
    }
    command = [sys.executable, "-m", "uvicorn", "deploy.bench.bare:app", "--port", str(port)]
    with _process([*command, "--no-access-log", "--log-level", "error"], environment, port, "/") as address:
        yield address


@contextmanager
def _process(command: list[str], environment: Mapping[str, str], port: int, path: str) -> Iterator[str]:
    process = subprocess.Popen(command, env={**os.environ, **environment}, stderr=subprocess.DEVNULL)  # noqa: S603 - our own
    address = f"http://127.0.0.1:{port}"
    try:
        _until_ready(process, f"{address}{path}")
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)


def _until_ready(process: subprocess.Popen[bytes], url: str) -> None:
    ends = time.monotonic() + 30
    while time.monotonic() < ends and process.poll() is None:
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError(f"{url} does not answer")


def _admin(url: str) -> psycopg.Connection:
    return psycopg.connect(_plain(url), autocommit=True)


def _plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


if __name__ == "__main__":
    main()
