"""Monthly partitions of ``snapshots``: made ahead, dropped when old; both idempotent."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, text

MONTHS_AHEAD = 2
_PARTITION_LOCK = 7_205_719_315


def ensure_partitions(connection: Connection) -> list[str]:
    """Create the partitions of this month and the next ones, and return the names of the new ones.

    Should a month have begun without its partition, its rows went to the default one: they move along.
    """
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _PARTITION_LOCK})
    month = connection.execute(text("SELECT date_trunc('month', now() AT TIME ZONE 'UTC')")).scalar_one()
    made = []
    for _ in range(MONTHS_AHEAD + 1):
        following = (month + timedelta(days=32)).replace(day=1)
        if _create(connection, month, following):
            made.append(_name(month))
        month = following
    return made


def _name(month: datetime) -> str:
    return f"snapshots_{month:%Y_%m}"


def _create(connection: Connection, start: datetime, end: datetime) -> bool:
    name, bounds = _name(start), {"start": f"{start:%Y-%m-%d}+00", "end": f"{end:%Y-%m-%d}+00"}
    if connection.execute(text("SELECT to_regclass(:name)"), {"name": name}).scalar_one() is not None:
        return False
    connection.exec_driver_sql(f"CREATE TABLE {name} (LIKE snapshots INCLUDING ALL)")
    outside = "DELETE FROM snapshots_default WHERE taken_at >= :start AND taken_at < :end"
    move = f"WITH moved AS ({outside} RETURNING *) INSERT INTO {name} SELECT * FROM moved"  # noqa: S608 - the name is a month of ours
    connection.execute(text(move), bounds)
    connection.exec_driver_sql(
        f"ALTER TABLE snapshots ATTACH PARTITION {name}"
        f" FOR VALUES FROM ('{bounds['start']}') TO ('{bounds['end']}')"
    )
    return True
