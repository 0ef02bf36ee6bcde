"""Monthly partitions of the history: made ahead once, with the rows that came too early."""

from datetime import UTC, datetime

from sqlalchemy import text

from shared.partitions import FUNCTION, ensure_partitions
from tests.harness import open_harness

INSERT = """
INSERT INTO snapshots (publication_id, taken_at, last_seen_at, claim_seq, sync_status, metrics)
VALUES (:id, :at, :at, 1, 'synced', '{}')
"""


def month(offset: int) -> datetime:
    """Return the first instant of the month that is so many months from now."""
    now = datetime.now(UTC)
    months = now.year * 12 + now.month - 1 + offset
    return datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)


def test_partitions_of_three_months_are_created_once_and_receive_existing_rows(database_url: str) -> None:
    with open_harness(database_url) as harness, harness.engine.begin() as connection:
        connection.exec_driver_sql(
            FUNCTION.replace("%", "%%")
        )  # as its migration does, and again: it replaces itself
        connection.execute(text("SET LOCAL TIME ZONE 'Pacific/Kiritimati'"))  # 14 hours ahead of UTC
        for offset in range(3):
            connection.execute(text(f"DROP TABLE snapshots_{month(offset):%Y_%m}"))
        last = connection.execute(text("SELECT CAST(:at AS timestamptz) - interval '1 microsecond'"),
                                  {"at": month(3)}).scalar_one()  # fmt: skip
        instants = [month(0), month(1), last, month(3), month(-1)]
        for number, at in enumerate(instants):
            connection.execute(text(INSERT), {"id": number, "at": at})

        made = ensure_partitions(connection)

        assert made == [f"snapshots_{month(offset):%Y_%m}" for offset in range(3)]
        assert ensure_partitions(connection) == []
        partitions = connection.execute(
            text("SELECT publication_id, CAST(tableoid AS regclass)::text AS part FROM snapshots ORDER BY 1")
        )
        assert [row.part for row in partitions] == [*made, "snapshots_default", "snapshots_default"]
        bounds = connection.execute(
            text("SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = :name"),
            {"name": made[0]},
        ).scalar_one()
        assert f"{month(0):%Y-%m-%d}" in bounds or "14:00:00+14" in bounds
        assert [row.indexdef is not None for row in connection.execute(
            text("SELECT indexdef FROM pg_indexes WHERE tablename = :name"), {"name": made[2]}
        )] == [True]  # fmt: skip


def test_two_concurrent_schedulers_create_each_partition_once(database_url: str) -> None:
    with open_harness(database_url) as harness:
        harness.execute(f"DROP TABLE snapshots_{month(1):%Y_%m}")
        with harness.engine.connect() as first, harness.engine.connect() as second:
            assert ensure_partitions(first) == [f"snapshots_{month(1):%Y_%m}"]
            locks = second.execute(
                text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
            ).scalar_one()
            first.commit()
            assert locks == 1
            assert ensure_partitions(second) == []
