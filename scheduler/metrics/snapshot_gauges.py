"""Who holds an old snapshot: while a session does, PostgreSQL removes no row version that it might read.

Every refresh leaves such versions behind, and claims and refreshes become slower with their number. Sessions,
prepared transactions and replication slots can hold one, of this project or not.
"""

import time
from collections.abc import Iterator
from typing import Final

from sqlalchemy import Connection, text

from shared.observability.metrics import SNAPSHOT_HELD, FleetGauge

Sample = tuple[FleetGauge, tuple[str, ...], float]

LEAST_SECONDS: Final = 10
"""A snapshot that is younger is everyday work and not exported."""

# A snapshot of another database holds nothing back here; VACUUM's own is ignored by PostgreSQL.
# https://www.postgresql.org/docs/18/monitoring-stats.html#MONITORING-PG-STAT-ACTIVITY-VIEW
_HOLDERS: Final = text("""
SELECT 'session' AS kind, CAST(pid AS text) AS name, COALESCE(application_name, '') AS application,
       COALESCE(CAST(usename AS text), '') AS username, CAST(age(backend_xmin) AS bigint) AS transactions,
       EXTRACT(epoch FROM clock_timestamp() - xact_start) AS seconds
  FROM pg_stat_activity
 WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
   AND (datname = current_database() OR datname IS NULL)
   AND backend_type <> 'autovacuum worker' AND query !~* '^\\s*vacuum'
UNION ALL
SELECT 'prepared_transaction', gid, '', CAST(owner AS text), age(transaction),
       EXTRACT(epoch FROM clock_timestamp() - prepared)
  FROM pg_prepared_xacts WHERE database = current_database()
UNION ALL
SELECT 'replication_slot', CAST(slot_name AS text), COALESCE(CAST(plugin AS text), ''), '',
       GREATEST(age(xmin), age(catalog_xmin)), NULL
  FROM pg_replication_slots WHERE xmin IS NOT NULL OR catalog_xmin IS NOT NULL
""")
_HORIZON: Final = text("SELECT CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint)")


class SlotAges:
    """Since when each replication slot has held the same horizon: PostgreSQL knows its number alone."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[int, float]] = {}

    def seconds(self, slot: str, horizon: int) -> float:
        """Return for how long the slot has been seen to hold this horizon."""
        now = time.monotonic()
        seen, since = self._since.get(slot, (horizon, now))
        if seen != horizon:
            since = now
        self._since[slot] = (horizon, since)
        return now - since


_slots: Final = SlotAges()


def snapshots(
    connection: Connection, slots: SlotAges = _slots, *, least_seconds: float = LEAST_SECONDS
) -> Iterator[Sample]:
    """Yield the age of the oldest snapshot, and who holds it; 0 for ``none`` when all are young."""
    next_transaction = connection.execute(_HORIZON).scalar_one()
    oldest: tuple[float, tuple[str, ...]] = (0.0, ("none", "", "", ""))
    for row in connection.execute(_HOLDERS):
        horizon = next_transaction - row.transactions
        seconds = slots.seconds(row.name, horizon) if row.seconds is None else float(row.seconds)
        if seconds >= least_seconds:
            oldest = max(oldest, (seconds, (row.kind, row.name, row.application, row.username)))
    yield SNAPSHOT_HELD, oldest[1], oldest[0]
