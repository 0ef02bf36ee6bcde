"""Rows that operators change, and what the audit log then says."""

from datetime import UTC, datetime, timedelta
from typing import Any

from shared.operations import audit_log
from shared.operations.audit_log import Operator
from tests.harness import Harness

ADA = Operator("ada", "command")
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
LATER = datetime.now(UTC) + timedelta(hours=3)
MINUTE = timedelta(minutes=1)


def log(harness: Harness) -> list[tuple[Any, ...]]:
    with harness.engine.connect() as connection:
        entries = audit_log.entries(connection)
    return [
        (one.action, one.subject, one.reason, one.rows, one.ended_at is not None) for one in reversed(entries)
    ]


def deferred_row(harness: Harness, account: str, *, until: datetime | None, **state: Any) -> int:
    """Store a row that a pause has deferred until an instant."""
    harness.execute("UPDATE publications SET platform_post_id = 'pp_' || id")
    (one,) = harness.publications(account, next_run_at=until, **{"reason": "paused", **state})
    return one


def is_due(harness: Harness, one: int) -> bool:
    return harness.state(one).next_run_at is not None and harness.state(one).wait <= timedelta()
