"""The holder of an old snapshot is named."""

from psycopg import sql

from scheduler.metrics.snapshot_gauges import LEAST_SECONDS, SlotAges, snapshots
from tests.harness import Harness
from tests.servers import connect


def test_session_that_holds_the_oldest_snapshot_is_named(harness: Harness, database_url: str) -> None:
    with connect(database_url) as backup, connect(database_url) as newer:
        backup.execute("SET application_name = 'pg_dump'")
        for session in (backup, newer):
            session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            session.execute("SELECT count(*) FROM accounts")
        (pid, user) = backup.execute("SELECT pg_backend_pid(), current_user").fetchone() or (0, "")
        with harness.scheduler.connect() as reading:
            ((_, labels, seconds),) = snapshots(reading, SlotAges(), least_seconds=0)
            ((_, young, none),) = snapshots(reading, SlotAges())
        backup.execute("ROLLBACK")
        newer.execute(sql.SQL("ROLLBACK"))

    assert labels == ("session", str(pid), "pg_dump", user)
    assert 0 < seconds < LEAST_SECONDS
    assert (young, none) == (("none", "", "", ""), 0)


def test_transaction_without_a_snapshot_holds_nothing(harness: Harness, database_url: str) -> None:
    with connect(database_url) as idle, harness.scheduler.connect() as reading:
        idle.execute("BEGIN")
        ((_, labels, _),) = snapshots(reading, SlotAges(), least_seconds=0)
        idle.execute("ROLLBACK")

    assert labels[0] == "none"


def test_slot_ages_while_its_horizon_stays() -> None:
    slots = SlotAges()
    first = slots.seconds("standby", 100)
    later = slots.seconds("standby", 100)
    moved = slots.seconds("standby", 101)

    assert first == 0 < later
    assert moved == 0
