"""A claim by the number of accounts, with 500 of them due and with nothing due."""

from typing import Any

from sqlalchemy import Engine

from deploy.bench.claims.rows import FINISH, MAKE_DUE, bench_database, load, maintain
from deploy.bench.claims.timing import Timings, table, timed, timed_claim
from deploy.local.servers.postgres import Postgres
from shared.operations.fleet import oldest_overdue
from shared.refresh_state.ready.memory import ClaimMemory
from shared.refresh_state.ready.sweep import sweep
from shared.vocabulary import Lane

_DUE = 500
_ROWS = 2


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
    return table("By number of accounts (CPU and, in parentheses, time: median / p99, ms)", head, rows)


def _measure(engine: Engine, accounts: int, rounds: int) -> list[Any]:
    due, idle, interactive, overdue, sweeps = (Timings() for _ in range(5))
    memory = ClaimMemory()
    for number in range(rounds + 1):
        with engine.begin() as connection:
            connection.execute(MAKE_DUE, {"accounts": accounts, "step": max(1, accounts // _DUE)})
        with timed(engine, overdue) as connection:
            oldest_overdue(connection)
        while timed_claim(engine, due, memory=memory).jobs:
            pass
        due.milliseconds.pop()
        due.cpu.pop()
        with engine.begin() as connection:
            connection.execute(FINISH, {"after": "6 hours"})
        if not number:  # the first round warms caches up
            due, overdue = Timings(), Timings()
    timed_claim(engine, Timings(), memory=memory)
    for _ in range(20 * rounds):
        timed_claim(engine, idle, memory=memory)
        timed_claim(engine, interactive, Lane.INTERACTIVE, memory=memory)
    for _ in range(rounds):
        with timed(engine, sweeps) as connection:
            sweep(connection)
    return [due, idle, interactive, overdue, sweeps]
