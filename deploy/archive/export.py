"""Writes an archive: accounts, then publications with their served values, then all readings."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, text

from shared.erasure.subject import Subject

_PAGE: Final = 1_000
_ACCOUNTS: Final = """
SELECT 'account' AS type, a.account_id, a.workspace_id, a.platform, a.platform_account_id, a.platform_user_id,
       a.login, a.kind, a.name, a.scopes
  FROM accounts a WHERE {account_where} ORDER BY a.account_id
"""
_PUBLICATIONS: Final = """
SELECT 'publication' AS type, p.post_id, p.account_id, p.platform_post_id, p.publish_id, p.platform_post_url,
       p.media_type, p.text, p.created_at, p.published_at, n.sync_status, n.metrics, n.warnings,
       n.last_updated_at
  FROM publications p JOIN post_analytics n ON n.publication_id = p.id
 WHERE {where} ORDER BY p.id
"""
_READINGS: Final = """
SELECT 'reading' AS type, CAST(:grain AS text) AS grain, p.account_id, p.post_id, p.platform_post_id,
       p.publish_id, s.taken_at, s.last_seen_at, s.reads, s.sync_status, s.metrics
  FROM publications p JOIN {table} s ON s.publication_id = p.id
 WHERE {where} ORDER BY p.id, s.taken_at
"""
GRAINS: Final = {"raw": "snapshots", "day": "daily_snapshots", "last": "last_snapshots"}
"""Kinds of readings, each with its table."""


def lines(connection: Connection, subject: Subject) -> Iterator[dict[str, Any]]:
    """Yield the lines of the archive. No line holds a token; instants are RFC 3339 in UTC."""
    yield from _rows(connection, _ACCOUNTS.format(account_where=subject.account_where), subject.bound)
    yield from _rows(connection, _PUBLICATIONS.format(where=subject.where), subject.bound)
    for grain, table in GRAINS.items():
        statement = _READINGS.format(where=subject.where, table=table)
        yield from _rows(connection, statement, {**subject.bound, "grain": grain})


def _rows(connection: Connection, statement: str, bound: dict[str, Any]) -> Iterator[dict[str, Any]]:
    options = {"stream_results": True, "yield_per": _PAGE}
    for row in connection.execute(text(statement), bound, execution_options=options).mappings():
        yield {name: _value(value) for name, value in row.items()}


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value
