"""Finds the monthly partitions of the history, detaches them without blocking readers, and drops them.

A concurrent detach takes no lock that a reader waits for, but is not possible while the table has a default
partition, and may be interrupted: `finish_detach` completes it.
https://www.postgresql.org/docs/18/sql-altertable.html#SQL-ALTERTABLE-DETACH-PARTITION
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from sqlalchemy import Connection, text

READINGS: Final = "snapshots"
DAILY: Final = "daily_snapshots"

_PARTITIONS: Final = text("""
SELECT c.relname AS name, i.inhdetachpending AS pending, i.inhrelid IS NOT NULL AS attached,
       c.reltuples::bigint AS rows, pg_total_relation_size(c.oid) AS bytes
  FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
 WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'
   AND c.relname ~ ('^' || :table || '_[0-9]{4}_[0-9]{2}$')
 ORDER BY c.relname
""")


@dataclass(frozen=True, slots=True)
class Month:
    """One month of a partitioned table."""

    table: str
    name: str
    start: date
    attached: bool
    """Whether it is a partition still; otherwise it waits to be dropped."""
    pending: bool
    """Whether a detach was interrupted."""
    rows: int
    """PostgreSQL's estimate; -1 before the first ANALYZE."""
    bytes: int

    @property
    def end(self) -> datetime:
        """The instant at which the month ends."""
        following = (self.start + timedelta(days=32)).replace(day=1)
        return datetime(following.year, following.month, 1, tzinfo=UTC)


def months(connection: Connection, table: str) -> list[Month]:
    """Return the months of a table, the oldest first."""
    rows = connection.execute(_PARTITIONS, {"table": table})
    return [
        Month(table, row.name, _start(row.name), row.attached, bool(row.pending), row.rows, row.bytes)
        for row in rows
    ]


def expired(all_months: Iterable[Month], limit: timedelta | None, now: datetime) -> Month | None:
    """Return the oldest month whose last instant is beyond the limit."""
    if limit is None:
        return None
    return next((one for one in all_months if one.attached and one.end <= now - limit), None)


def _start(name: str) -> date:
    year, month = name.split("_")[-2:]
    return date(int(year), int(month), 1)


def make_daily_month(connection: Connection, start: date) -> None:
    """Create the partition of a month of daily readings, if there is none."""
    name = f"{DAILY}_{start:%Y_%m}"
    if connection.execute(text("SELECT to_regclass(:name)"), {"name": name}).scalar() is not None:
        return
    end = (start + timedelta(days=32)).replace(day=1)
    connection.execute(text(f"CREATE TABLE {name} (LIKE {DAILY} INCLUDING ALL)"))
    connection.execute(
        text(
            f"ALTER TABLE {DAILY} ATTACH PARTITION {name}"
            f" FOR VALUES FROM ('{start}T00:00:00Z') TO ('{end}T00:00:00Z')"
        )
    )


def remove_default_partition(connection: Connection) -> bool:
    """Move the rows of the default partition to months of their own and drop it; return whether it existed.

    Briefly locks the table, at most for the lock timeout: the only step that readers may wait for.
    """
    if connection.execute(text("SELECT to_regclass('snapshots_default')")).scalar() is None:
        return False
    stray = connection.execute(
        text("SELECT DISTINCT date_trunc('month', taken_at AT TIME ZONE 'UTC')::date FROM snapshots_default")
    )
    for month in list(stray.scalars()):
        connection.execute(text("SELECT make_snapshot_partition(:month)"), {"month": month})
    connection.execute(text("DROP TABLE snapshots_default"))
    return True


def detach(connection: Connection, month: Month) -> None:
    """Detach a month without blocking readers. The connection commits each statement by itself."""
    connection.execute(text(f"ALTER TABLE {month.table} DETACH PARTITION {month.name} CONCURRENTLY"))


def finish_detach(connection: Connection, month: Month) -> None:
    """Complete a detach that was interrupted."""
    connection.execute(text(f"ALTER TABLE {month.table} DETACH PARTITION {month.name} FINALIZE"))


def drop(connection: Connection, month: Month) -> None:
    """Drop a detached month."""
    connection.execute(text(f"DROP TABLE {month.name}"))
