"""What is kept, how long, how much of it there is, and what the limits would remove. Nothing is written."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, text

from shared.bounded import Count, count
from shared.retention import months
from shared.retention.expiry import HISTORY, SMALL, old_readings
from shared.retention.policy import DataClass, Group, Limit, Retention

_TABLES: Final = ((DataClass.READINGS, months.READINGS), (DataClass.DAILY, months.DAILY))
_NONE: Final = Count(0, estimated=False)
_SIZE: Final = text("SELECT pg_total_relation_size(to_regclass(:table))")
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


@dataclass(frozen=True, slots=True)
class ClassStatus:
    """One class of data, for all platforms or for one group; ``None``: not counted."""

    kind: DataClass
    group: Group | None
    limit: Limit
    expired: Count | None
    """Rows, posts or accounts that the next runs would remove."""
    expired_bytes: int = 0
    rows: Count | None = None
    bytes: int | None = None


def status(connection: Connection, policy: Retention, *, counted: bool = True) -> list[ClassStatus]:
    """Return every class with its limit, its size and what is beyond its limit.

    ``counted=False``: nothing that needs a count of rows, which may take long.
    """
    rows = _Rows(connection, counted)
    result = [_of_months(rows, policy, kind, table) for kind, table in _TABLES]
    result += [
        ClassStatus(kind, group, limit, _expired_readings(rows, kind, group, limit))
        for kind, _ in _TABLES
        for group, limit in policy.shorter(kind).items()
    ]
    result += [_of_tables(rows, policy.of(kind), kind) for kind in dict.fromkeys(one[0] for one in SMALL)]
    for group in Group:
        for kind in (DataClass.GONE, DataClass.DISCONNECTED):
            limit = policy.of(kind, group)
            result.append(ClassStatus(kind, group, limit, _expired(rows, kind, group, limit)))
    return result


@dataclass(frozen=True, slots=True)
class _Rows:
    """Counts rows, where that is asked for."""

    connection: Connection
    counted: bool

    def count(self, source: str, limit: Limit = None, **bound: object) -> Count | None:
        return count(self.connection, source, {**bound, "limit": limit}) if self.counted else None


def _sum(counts: Iterable[Count | None]) -> Count | None:
    known = [one for one in counts if one is not None]
    if not known:
        return None
    return Count(sum(one.rows for one in known), any(one.estimated for one in known))


def _of_months(rows: _Rows, policy: Retention, kind: DataClass, table: str) -> ClassStatus:
    now: datetime = rows.connection.execute(text("SELECT now()")).scalar_one()
    all_months = months.months(rows.connection, table)
    limit = policy.longest(kind)
    old = [one for one in all_months if limit is not None and one.attached and one.end <= now - limit]
    expired = (
        rows.count(f"FROM {table} WHERE taken_at < :end", end=max(one.end for one in old)) if old else _NONE
    )
    return ClassStatus(
        kind,
        None,
        limit,
        expired,
        sum(one.bytes for one in old),
        rows.count(f"FROM {table}"),
        sum(one.bytes for one in all_months),
    )


def _expired_readings(rows: _Rows, kind: DataClass, group: Group, limit: timedelta) -> Count | None:
    return _sum(rows.count(f"FROM {old_readings(table, group)}", limit) for table in HISTORY[kind])


def _of_tables(rows: _Rows, limit: Limit, kind: DataClass) -> ClassStatus:
    tables = [(table, column) for of, table, column in SMALL if of is kind]
    sizes = [rows.connection.execute(_SIZE, {"table": table}).scalar_one() for table, _ in tables]
    expired = (
        _NONE
        if limit is None
        else _sum(rows.count(_OLD.format(table=table, column=column), limit) for table, column in tables)
    )
    return ClassStatus(
        kind,
        None,
        limit,
        expired,
        rows=_sum(rows.count(f"FROM {table}") for table, _ in tables),
        bytes=sum(sizes),
    )


def _expired(rows: _Rows, kind: DataClass, group: Group, limit: Limit) -> Count | None:
    if limit is None:
        return _NONE
    platform = group.platform.value
    if kind is DataClass.GONE:
        return rows.count(_GONE, limit, platform=platform)
    members_only = {Group.LINKEDIN: False, Group.LINKEDIN_MEMBER: True}.get(group)
    return rows.count(_DISCONNECTED, limit, platform=platform, member=members_only)


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
