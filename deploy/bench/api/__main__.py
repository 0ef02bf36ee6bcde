"""``make bench-api``: how fast the read API is beside a bare application that runs the same SQL.

Starts an embedded PostgreSQL, loads each number of rows over 2,000 workspaces, and measures the API and the
bare application in turn, in one run. Each is one process; the same client sends requests over loopback.
"""

import argparse
import json
import statistics
from typing import Any, Final

import httpx
import psycopg
from sqlalchemy.engine import make_url

from deploy.bench.api import api_rows, ops_page
from deploy.bench.api.services import api, bare
from deploy.bench.load import measure
from deploy.bench.report import report
from deploy.bench.work_directory import work_directory
from deploy.console import show
from deploy.local.servers.postgres import Postgres
from shared import database
from shared.accounts.api_keys import create_key

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
_PAIRS: Final = 6
_BARE_VALUES: Final = [["month"], ["0001-01-01"], ["9999-12-31"], api_rows.LARGE, [], [], 25, 0]
"""The values of the first page of the large workspace, in the order of the statement's parameters."""


def main() -> None:
    """Load rows, measure and print; with ``--json``, results are also printed as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each measurement")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--json", action="store_true", dest="as_json")
    arguments = parser.parse_args()
    with work_directory() as directory, Postgres(directory / "postgres", _SERVER) as server:
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
    with api(url) as address:
        for name, query in _READS.items():
            path = f"{_POSTS}?{query.format(last=total // 25)}"
            measured = measure(address, [path], token=key, connections=connections, seconds=seconds)
            results.append(report(rows, f"api, {name}", measured))
            alone = measure(address, [path], token=key, connections=1, seconds=seconds / 2)
            results.append(report(rows, f"api, {name}, one at a time", alone))
        httpx.get(f"{address}{_POSTS}", headers={"Authorization": f"Bearer {key}"}).raise_for_status()
        statement = _last_statement(url)
    results += _ratios(rows, url, key, statement, seconds, connections)
    with api(url, DRAVO_OPS_TOKEN=ops_page.TOKEN) as address:  # by itself: it counts its figures itself
        results += ops_page.bench(address, rows, seconds)
    return results


def _ratios(
    rows: int, url: str, key: str, statement: str, seconds: float, connections: int
) -> list[dict[str, Any]]:
    """Measure pairs alternately (ABBA), so that other work on the machine falls on both."""
    pages = {name: f"{_POSTS}?{_READS[name]}" for name in ("page 1", "page 400")}
    rates: dict[str, list[float]] = {"api": [], "bare": []}
    times: dict[str, list[float]] = {name: [] for name in pages}
    with api(url) as address, bare(_plain(url), statement, _BARE_VALUES) as plain:
        for pair in range(_PAIRS):
            for name in ("api", "bare") if pair % 2 else ("bare", "api"):
                target, path, token = (address, pages["page 1"], key) if name == "api" else (plain, "/", "")
                measured = measure(target, [path], token=token, connections=connections, seconds=seconds / 2)
                rates[name].append(measured.per_second)
            for name in pages if pair % 2 else reversed(pages):
                measured = measure(address, [pages[name]], token=key, connections=1, seconds=seconds / 4)
                times[name].append(measured.quantile(0.5))
    return [
        _ratio(rows, "api / bare, page 1, requests/s", rates["api"], rates["bare"]),
        _ratio(rows, "page 400 / page 1, one at a time, p50", times["page 400"], times["page 1"]),
    ]


def _ratio(rows: int, what: str, above: list[float], below: list[float]) -> dict[str, Any]:
    pairs = sorted(one / other for one, other in zip(above, below, strict=True))
    middle = statistics.median(pairs)
    show(f"  {what:48} {middle:7.2f} (median of {len(pairs)} pairs, {pairs[0]:.2f} to {pairs[-1]:.2f})")
    return {"rows": rows, "what": what, "ratio": middle, "pairs": pairs}


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
        row = counted.fetchone()
    return url, key, row[0] if row else 0


def _last_statement(url: str) -> str:
    """Return the SQL that the API ran last, as PostgreSQL received it."""
    with _admin(url) as connection:
        row = connection.execute(
            "SELECT query FROM pg_stat_activity WHERE application_name = 'dravo-api'"
            " AND query LIKE '%post_analytics%' AND datname = current_database()"
            " ORDER BY query_start DESC LIMIT 1"
        ).fetchone()
    if row is None:
        raise RuntimeError("the read API has not run its page statement")
    return str(row[0])


def _admin(url: str) -> psycopg.Connection:
    return psycopg.connect(_plain(url), autocommit=True)


def _plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


if __name__ == "__main__":
    main()
