"""``python -m deploy.bench.api.row_level_security``: what row-level security would cost the read path.

Runs the page statement of the read API in turn as a role that policies bind and as one that bypasses them, on
the same rows, and prints the medians. A policy compares ``workspace_id`` with a setting of the transaction.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable
from typing import Any, Final

import httpx
import psycopg
from psycopg import Connection, RawCursor, sql
from sqlalchemy.engine import make_url

from deploy.bench.api import api_rows
from deploy.bench.api.services import api
from deploy.bench.work_directory import work_directory
from deploy.console import show
from deploy.local.servers.postgres import Postgres
from shared import database
from shared.accounts.api_keys import create_key

_BOUND, _FREE = "bench_bound", "bench_free"
_TABLES: Final = ("publications", "publication_counts")
"""The tables with a ``workspace_id``. The policies of others would look the publication up, and cost more."""
_OFFSETS: Final = {"page 1": 0, "page 40": 975}
_WARM_UP: Final = 200
_SERVER: Final = {"shared_buffers": "512MB", "fsync": "off", "track_activity_query_size": "16384"}


def main() -> None:
    """Load, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--calls", type=int, default=3_000, help="calls of each variant")
    arguments = parser.parse_args()
    with work_directory() as directory, Postgres(directory / "postgres", _SERVER) as server:
        statement = _fill(server.url, arguments.rows)
        _make_roles(server.url)
        with (
            _session(server.url, _FREE) as free,
            _session(server.url, _BOUND) as alone,
            _session(server.url, _BOUND) as bound,
        ):
            # Each variant has its own connection: a server process that is asked more often is faster.
            alone.execute("SELECT set_config('dravo.workspace', %s, FALSE)", [api_rows.LARGE])
            for name, offset in _OFFSETS.items():
                variants = _variants(free, alone, bound, statement, offset)
                _report(name, _interleaved(variants, arguments.calls))


def _fill(url: str, rows: int) -> str:
    """Load the rows and return the page statement as the read API sends it."""
    database.migrate(url)
    engine = database.connect(url, application="bench", statement_seconds=3_600)
    with engine.connect() as connection:
        api_rows.load(connection, rows)
    with engine.begin() as connection:
        key = create_key(connection, api_rows.LARGE, "bench")[1]
    engine.dispose()
    with _connect(url) as admin, api(url) as address:
        admin.execute("VACUUM ANALYZE")
        headers = {"Authorization": f"Bearer {key}"}
        httpx.get(f"{address}/v1/analytics/posts", headers=headers).raise_for_status()
        (statement,) = admin.execute(
            "SELECT query FROM pg_stat_activity WHERE application_name = 'dravo-api'"
            " AND query LIKE '%post_analytics%' ORDER BY query_start DESC LIMIT 1"
        ).fetchall()[0]
    return str(statement)


def _connect(url: str, options: str = "") -> Connection:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True, options=options)


def _make_roles(url: str) -> None:
    with _connect(url) as admin:
        for role, option in ((_BOUND, sql.SQL("NOBYPASSRLS")), (_FREE, sql.SQL("BYPASSRLS"))):
            admin.execute(sql.SQL("CREATE ROLE {} IN ROLE dravo_api {}").format(sql.Identifier(role), option))
        for table in map(sql.Identifier, _TABLES):
            admin.execute(sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(table))
            admin.execute(
                sql.SQL(
                    "CREATE POLICY own ON {} TO dravo_api"
                    " USING (workspace_id = current_setting('dravo.workspace', TRUE))"
                ).format(table)
            )


def _session(url: str, role: str) -> Connection:
    connection = _connect(url, "-c plan_cache_mode=force_generic_plan -c jit=off")
    connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
    return connection


def _variants(
    free: Connection, alone: Connection, bound: Connection, statement: str, offset: int
) -> dict[str, Callable[[], list[Any]]]:
    # In the order of the statement's parameters: every month, no edges, 25 rows.
    values = [["month"], ["0001-01-01"], ["9999-12-31"], api_rows.LARGE, [], [], 25, offset]

    def run(connection: Connection) -> RawCursor[Any]:
        return RawCursor(connection).execute(statement.encode(), values, prepare=True, binary=True)

    def in_transaction() -> list[Any]:
        with bound.pipeline():  # one round trip, and one transaction without BEGIN and COMMIT of its own
            bound.execute("SELECT set_config('dravo.workspace', %s, TRUE)", [api_rows.LARGE], prepare=True)
            milliseconds = run(bound)
        return milliseconds.fetchall()

    return {
        "without": lambda: run(free).fetchall(),
        "policies alone": lambda: run(alone).fetchall(),
        "policies, workspace set in each transaction": in_transaction,
    }


def _interleaved(variants: dict[str, Callable[[], list[Any]]], calls: int) -> dict[str, float]:
    """Return the median milliseconds of each variant; all variants must find the same rows."""
    took: dict[str, list[float]] = {name: [] for name in variants}
    order = list(variants.items())
    for _ in range(calls + _WARM_UP):
        milliseconds = []
        random.shuffle(order)
        for name, call in order:
            began = time.perf_counter()
            milliseconds.append([row[2] for row in call()])
            took[name].append((time.perf_counter() - began) * 1_000)
        if any(rows != milliseconds[0] or len(rows) != 25 for rows in milliseconds):
            raise RuntimeError("the variants found different rows")
    return {name: statistics.median(each[_WARM_UP:]) for name, each in took.items()}


def _report(page: str, medians: dict[str, float]) -> None:
    base = medians["without"]
    for name, median in medians.items():
        show(f"{page}, {name}: {median:.3f} ms ({median / base - 1:+.1%})")


if __name__ == "__main__":
    main()
