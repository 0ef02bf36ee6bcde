"""What is kept, how long, how much of it there is, and what the limits would remove. Nothing is written."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, text

from shared.bounded import Count, count
from shared.retention import months
from shared.retention.expiry import SMALL
from shared.retention.policy import DataClass, Group, Limit, Retention

_TABLES: Final = ((DataClass.READINGS, months.READINGS), (DataClass.DAILY, months.DAILY))
_SIZE: Final = text("""
SELECT GREATEST(reltuples, 0)::bigint AS rows, pg_total_relation_size(oid) AS bytes
  FROM pg_class WHERE oid = to_regclass(:table)
""")
_OLD: Final = "FROM {table} WHERE {column} < now() - CAST(:limit AS interval)"
_GONE: Final = """
  FROM post_analytics n JOIN publications p ON p.id = n.publication_id
 WHERE n.outcome = 'gone' AND n.sync_status <> 'requires_reconnect' AND p.platform = :platform
   AND n.attempted_at < now() - CAST(:limit AS interval) AND (p.text IS NOT NULL OR n.metrics <> '{}')
"""
_DISCONNECTED: Final = """
  FROM accounts WHERE state = 'disconnected' AND erasure IS NULL AND platform = :platform
   AND (CAST(:member AS bool) IS NULL OR (kind IS NOT DISTINCT FROM 'member') = :member)
   AND state_changed_at <= now() - CAST(:limit AS interval)
"""
_NONE: Final = Count(0, estimated=False)


@dataclass(frozen=True, slots=True)
class ClassStatus:
    """One class of data, for all platforms or for one group."""

    kind: DataClass
    group: Group | None
    limit: Limit
    rows: int | None
    """PostgreSQL's estimate; ``None``: not counted apart."""
    bytes: int | None
    expired: int
    """Rows (of a month: an estimate), posts or accounts that the next runs would remove."""
    expired_bytes: int
    estimated: bool = False
    """Whether ``expired`` is an estimate, because counting takes too long."""


def status(connection: Connection, policy: Retention, *, counted: bool = True) -> list[ClassStatus]:
    """Return every class with its limit, its size and what is beyond its limit.

    ``counted=False``: nothing that needs a count of rows, which may take long.
    """
    now: datetime = connection.execute(text("SELECT now()")).scalar_one()
    result = [_of_months(connection, policy, kind, table, now) for kind, table in _TABLES]
    result += [
        ClassStatus(kind, group, limit, None, None, 0, 0)
        for kind, _ in _TABLES
        for group, limit in policy.shorter(kind).items()
    ]
    result += [
        _of_table(connection, policy.of(kind), kind, table, column if counted else None)
        for kind, table, column in SMALL
    ]
    for group in Group:
        for kind in (DataClass.GONE, DataClass.DISCONNECTED):
            limit = policy.of(kind, group)
            expired = _NONE if limit is None or not counted else _expired(connection, kind, group, limit)
            result.append(ClassStatus(kind, group, limit, None, None, expired.rows, 0, expired.estimated))
    return result


def _of_months(
    connection: Connection, policy: Retention, kind: DataClass, table: str, now: datetime
) -> ClassStatus:
    all_months = months.months(connection, table)
    limit = policy.longest(kind)
    old = [one for one in all_months if limit is not None and one.attached and one.end <= now - limit]
    return ClassStatus(
        kind,
        None,
        limit,
        sum(max(one.rows, 0) for one in all_months),
        sum(one.bytes for one in all_months),
        sum(max(one.rows, 0) for one in old),
        sum(one.bytes for one in old),
    )


def _of_table(
    connection: Connection, limit: Limit, kind: DataClass, table: str, column: str | None
) -> ClassStatus:
    size = connection.execute(_SIZE, {"table": table}).one()
    expired = _NONE
    if limit is not None and column is not None:
        expired = count(connection, _OLD.format(table=table, column=column), {"limit": limit})
    return ClassStatus(kind, None, limit, size.rows, size.bytes, expired.rows, 0, expired.estimated)


def _expired(connection: Connection, kind: DataClass, group: Group, limit: timedelta) -> Count:
    bound: dict[str, object] = {"platform": group.platform.value, "limit": limit}
    if kind is DataClass.GONE:
        return count(connection, _GONE, bound)
    members_only = {Group.LINKEDIN: False, Group.LINKEDIN_MEMBER: True}.get(group)
    return count(connection, _DISCONNECTED, {**bound, "member": members_only})


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the history needs on disk."""

    bytes_a_day: float
    """Growth in the current month so far, or in the month before while this one is young."""
    bytes_now: int
    steady_bytes: float | None
    """Size of the readings once the oldest month goes as fast as new ones come; ``None``: never."""


_YOUNG: Final = timedelta(days=3)


def forecast(connection: Connection, policy: Retention) -> Forecast:
    """Return what the readings need on disk now, each day, and in the end."""
    now: datetime = connection.execute(text("SELECT now()")).scalar_one()
    all_months = [one for one in months.months(connection, months.READINGS) if one.attached]
    past = [one for one in all_months if one.end - timedelta(days=31) <= now]
    newest = past[-1] if past else None
    if newest is not None and newest.end > now and len(past) > 1 and now.day <= _YOUNG.days:
        newest = past[-2]
    days = (min(now, newest.end) - _first(newest.end)).total_seconds() / 86_400 if newest else 0.0
    daily = newest.bytes / days if newest and days > 0 else 0.0
    limit = policy.longest(DataClass.READINGS) if policy.enabled else None
    # A month goes as a whole: its first day is kept up to a month longer.
    steady = None if limit is None else daily * (limit.days + 31)
    return Forecast(daily, sum(one.bytes for one in all_months), steady)


def _first(end: datetime) -> datetime:
    return (end - timedelta(days=1)).replace(day=1)
