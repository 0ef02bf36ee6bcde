"""Measures claims with wrong statistics, beside a session that holds an old snapshot, and in steady churn."""

import time
from typing import Final

import psycopg
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from deploy.bench.claims.rows import FINISH, bench_database, load, maintain
from deploy.bench.claims.timing import JOBS, Timings, table, timed, timed_claim
from deploy.local.servers.postgres import Postgres
from shared.refresh_state.ready.memory import ClaimMemory

_ONE_LARGE: Final = text("""
INSERT INTO refresh_state (publication_id, account_id, next_run_at, reason)
SELECT 1000000000 + n, 'acc_0', now(), 'stale' FROM generate_series(1, CAST(:rows AS int)) n
""")
_TRIGGERS_OFF: Final = text("SET LOCAL session_replication_role = replica")
_AUTOVACUUM_OFF: Final = "ALTER TABLE {} SET (autovacuum_enabled = off)"
_CHURN_WINDOWS: Final = 6
_CHURN_PAUSE: Final = 0.25
_SIZES: Final = text("""
SELECT sum(n_dead_tup) FILTER (WHERE relname = 'refresh_state'),
       sum(n_dead_tup) FILTER (WHERE relname <> 'refresh_state'),
       CAST(sum(pg_indexes_size(relid)) FILTER (WHERE relname = 'refresh_state') / 1000 AS bigint),
       CAST(sum(pg_total_relation_size(relid)) FILTER (WHERE relname <> 'refresh_state') / 1000 AS bigint)
  FROM pg_stat_user_tables WHERE relname IN ('refresh_state', 'account_timers', 'ready_accounts', 'turns')
""")
_TABLES: Final = ("accounts", "refresh_state", "account_timers", "ready_accounts", "turns")


def statistics(server: Postgres, accounts: int, large: int, claims: int) -> str:
    """Claim with the statistics of empty tables, and with right ones; return the table."""
    rows = []
    for name in ("of empty tables", "right"):
        with bench_database(server, "statistics_" + name.split()[0]) as engine:
            for each in _TABLES:
                maintain(engine, _AUTOVACUUM_OFF.format(each))
            maintain(engine, "ANALYZE")
            with engine.begin() as connection:
                load(connection, accounts, rows=20, workspaces=accounts, platforms=1)
            with engine.begin() as connection:
                connection.execute(_TRIGGERS_OFF)
                connection.execute(_ONE_LARGE, {"rows": large})
                connection.execute(text("UPDATE refresh_state SET next_run_at = now()"))
                connection.execute(text("UPDATE account_timers SET due_at = now(), rows_from = now()"))
            if name == "right":
                maintain(engine, "ANALYZE")
            timings, memory = Timings(), ClaimMemory()
            for _ in range(claims):
                timed_claim(engine, timings, memory=memory)
            rows.append([name, f"{timings.milliseconds[0]:.1f}", timings])
    head = ("statistics", "first claim, ms", f"claim of {JOBS} jobs (CPU, time: median / p99, ms)")
    title = f"Wrong statistics: {accounts:,} accounts with 20 due rows, one with {large:,}"
    return table(title, head, rows)


def snapshot(server: Postgres, seconds: float) -> str:
    """Claim and finish without a pause, at first alone, then while a session holds a snapshot."""
    rows = []
    with bench_database(server, "snapshot") as engine:
        _all_due(engine, rows=50)
        memory = ClaimMemory()
        _claims(engine, memory, seconds / 4)
        rows.append(["alone", *_claims(engine, memory, seconds / 4)])
        url = make_url(server.url_of("snapshot")).set(drivername="postgresql")
        with psycopg.connect(url.render_as_string(hide_password=False)) as foreign:
            foreign.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            foreign.execute("SELECT count(*) FROM accounts")
            rows += [
                [f"held for {seconds / 4 * part:.0f} s", *_claims(engine, memory, seconds / 4)]
                for part in range(1, 5)
            ]
    head = (
        "snapshot",
        "rows a second",
        "claim of 48 jobs (CPU, time: median / p99, ms)",
        "finish of its rows",
    )
    return table("A foreign session holds a snapshot, claims and finishes without a pause", head, rows)


def churn(server: Postgres, seconds: float) -> str:
    """Claim and finish four times a second, and measure in windows what grows; return the table."""
    rows: list[list[object]] = []
    with bench_database(server, "churn") as engine:
        _all_due(engine, rows=20)
        memory = ClaimMemory()
        for window in range(1, _CHURN_WINDOWS + 1):
            length = seconds / _CHURN_WINDOWS
            claims = _claims(engine, memory, length, pause=_CHURN_PAUSE)
            with engine.connect() as connection:
                sizes = connection.execute(_SIZES).one()
            rows.append([f"{window * length:,.0f} s", *claims, *(f"{size:,}" for size in sizes)])
    head = (
        "after",
        "rows a second",
        "claim of 48 jobs (CPU, time: median / p99, ms)",
        "finish of its rows",
        "dead rows of refresh_state",
        "of timers, queue and shares",
        "kB of refresh_state's indexes",
        "kB of timers, queue and shares",
    )
    return table("Churn: claims and finishes of 40,000 rows, four times a second", head, rows)


def _all_due(engine: Engine, *, rows: int) -> None:
    """Store 2,000 accounts with so many rows each, all due."""
    with engine.begin() as connection:
        load(connection, 2_000, rows=rows, workspaces=400, platforms=1)
    with engine.begin() as connection:
        connection.execute(text("UPDATE refresh_state SET next_run_at = now()"))
    maintain(engine, "VACUUM ANALYZE")


def _claims(engine: Engine, memory: ClaimMemory, seconds: float, pause: float = 0) -> list[object]:
    claims, finishes, rows = Timings(), Timings(), 0
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        rows += timed_claim(engine, claims, memory=memory).rows
        with timed(engine, finishes) as connection:
            connection.execute(FINISH, {"after": "3 seconds"})
        time.sleep(pause)
    return [f"{rows / (time.monotonic() - began):,.0f}", claims, finishes]
