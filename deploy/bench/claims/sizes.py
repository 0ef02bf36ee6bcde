"""A claim by the number of accounts, with 500 of them due and with nothing due."""

import time
from typing import Any

from sqlalchemy import Engine

from deploy.bench.claims.rows import FINISH, MAKE_DUE, bench_database, load, maintain
from deploy.bench.claims.timing import Timings, table, timed_claim
from deploy.local.postgres import Postgres
from shared.operations.fleet import oldest_overdue
from shared.refresh_state.ready.sweep import sweep
from shared.vocabulary import Lane

_DUE = 500
_ROWS = 3


def report(server: Postgres, sizes: list[int], rounds: int) -> str:
    """Measure each size; return the table."""
    rows = []
    for accounts in sizes:
        with bench_database(server, f"size_{accounts}") as engine:
            with engine.begin() as connection:
                load(connection, accounts, rows=_ROWS, workspaces=max(1, accounts // 5))
            maintain(engine, "VACUUM ANALYZE")
            rows.append([f"{accounts:,}", *_measure(engine, accounts, rounds)])
    head = (
        "accounts",
        f"claim of 48 jobs, {_DUE} accounts due",
        "nothing due, background",
        "nothing due, interactive",
        "oldest overdue row",
        "sweep of 1,000 accounts",
    )
    return table("By number of accounts (median / p99, ms)", head, rows)


def _measure(engine: Engine, accounts: int, rounds: int) -> list[Any]:
    due, idle, interactive, overdue, sweeps = (Timings() for _ in range(5))
    for number in range(rounds + 1):
        if not number:  # the first round warms caches up
            due, overdue = Timings(), Timings()
        with engine.begin() as connection:
            connection.execute(MAKE_DUE, {"accounts": accounts, "step": max(1, accounts // _DUE)})
        _timed(engine, overdue, lambda connection: oldest_overdue(connection))
        while timed_claim(engine, due).jobs:
            pass
        due.milliseconds.pop()
        with engine.begin() as connection:
            connection.execute(FINISH, {"after": "6 hours"})
        if not number:
            due, overdue = Timings(), Timings()
    timed_claim(engine, Timings())
    for _ in range(20 * rounds):
        timed_claim(engine, idle)
        timed_claim(engine, interactive, Lane.INTERACTIVE)
    after = ""
    for _ in range(rounds):
        _timed(engine, sweeps, lambda connection: sweep(connection, after))
    return [due, idle, interactive, overdue, sweeps]


def _timed(engine: Engine, timings: Timings, step: Any) -> None:
    began = time.perf_counter()
    with engine.begin() as connection:
        step(connection)
    timings.milliseconds.append((time.perf_counter() - began) * 1_000)
