"""Timers and ready accounts as tests store them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from tests.harness import Harness

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)


@contextmanager
def transaction(harness: Harness) -> Iterator[Connection]:
    """Begin a transaction without indexes: the plan must not decide which rows come first."""
    with harness.engine.begin() as connection:
        for plan in ("enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan"):
            connection.exec_driver_sql(f"SET LOCAL {plan} = off")
        yield connection


def ready(
    harness: Harness,
    account: str,
    virtual_time: float,
    rows_from: datetime = NOW - 2 * HOUR,
    *,
    lane: int = 0,
) -> None:
    harness.execute(
        "INSERT INTO ready_accounts SELECT :lane, account_id, workspace_id, platform, :time, :rows_from"
        "  FROM accounts WHERE account_id = :account",
        lane=lane,
        account=account,
        time=virtual_time,
        rows_from=rows_from,
    )


def timer(
    harness: Harness, account: str, rows_from: datetime, *, due_at: datetime | None = None, lane: int = 0
) -> None:
    harness.execute(
        "INSERT INTO account_timers (account_id, lane, due_at, rows_from)"
        " VALUES (:account, :lane, :due_at, :rows_from)",
        lane=lane,
        account=account,
        due_at=due_at or rows_from,
        rows_from=rows_from,
    )


def counted(harness: Harness, scope: str, subject: str, **columns: Any) -> None:
    values = {"served": 0.0, "weight": 1.0, "latest_cost": 0.0, "served_at": NOW - HOUR, **columns}
    harness.execute(
        "INSERT INTO turns (scope, subject, served, weight, latest_cost, served_at)"
        " VALUES (:scope, :subject, :served, :weight, :latest_cost, :served_at)",
        scope=scope,
        subject=subject,
        **values,
    )


def queue_of(harness: Harness) -> dict[str, float]:
    rows = harness.execute("SELECT account_id, virtual_time FROM ready_accounts WHERE lane = 0")
    return {row.account_id: row.virtual_time for row in rows}


def timers_of(harness: Harness) -> list[tuple[str, datetime, datetime]]:
    rows = harness.execute("SELECT account_id, due_at, rows_from FROM account_timers ORDER BY 1, 2")
    return [tuple(row) for row in rows]


def accounts(harness: Harness, names: Sequence[str], workspace: str = "ws_1") -> None:
    for name in names:
        harness.account(name, workspace_id=workspace)
