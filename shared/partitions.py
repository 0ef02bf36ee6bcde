"""Monthly partitions of ``snapshots``, created ahead of time; idempotent."""

from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, text

MONTHS_AHEAD = 2
_PARTITION_LOCK = 7_205_719_315

# Only a table's owner may attach a partition; the scheduler's role may do it by this function alone.
FUNCTION: Final = """
CREATE OR REPLACE FUNCTION make_snapshot_partition(month date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER AS $function$
DECLARE
    name CONSTANT text := 'snapshots_' || to_char(month, 'YYYY_MM');
    start_at CONSTANT timestamptz := date_trunc('month', month::timestamp) AT TIME ZONE 'UTC';
    end_at CONSTANT timestamptz :=
        (date_trunc('month', month::timestamp) + interval '1 month') AT TIME ZONE 'UTC';
BEGIN
    IF to_regclass(format('%I.%I', current_schema(), name)) IS NOT NULL THEN
        RETURN FALSE;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE snapshots INCLUDING ALL)', name);
    IF to_regclass(format('%I.snapshots_default', current_schema())) IS NOT NULL THEN
        EXECUTE format('WITH moved AS (DELETE FROM snapshots_default WHERE taken_at >= $1 AND taken_at < $2'
                       ' RETURNING *) INSERT INTO %I SELECT * FROM moved', name) USING start_at, end_at;
    END IF;
    EXECUTE format('ALTER TABLE snapshots ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                   name, start_at, end_at);
    RETURN TRUE;
END
$function$;
REVOKE EXECUTE ON FUNCTION make_snapshot_partition(date) FROM PUBLIC;
DO $do$ BEGIN
    -- A caller's search path must not decide which tables the owner's rights reach.
    EXECUTE format('ALTER FUNCTION make_snapshot_partition(date) SET search_path = %I, pg_temp',
                   current_schema());
END $do$
"""
"""Creates the partition of a month. Rows that came before it move there from the default partition.

Retention removes the default partition, because a month cannot be detached beside one without a lock.
"""


def ensure_partitions(connection: Connection) -> list[str]:
    """Create the partitions of this month and the next ones, and return the names of the new ones."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _PARTITION_LOCK})
    month = connection.execute(text("SELECT date_trunc('month', now() AT TIME ZONE 'UTC')")).scalar_one()
    made = []
    for _ in range(MONTHS_AHEAD + 1):
        if connection.execute(_MAKE, {"month": month.date()}).scalar_one():
            made.append(f"snapshots_{month:%Y_%m}")
        month = (month + timedelta(days=32)).replace(day=1)
    return made


_MAKE: Final = text("SELECT make_snapshot_partition(:month)")
