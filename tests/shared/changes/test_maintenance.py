"""Rows that existed before the feed arrive late, deleted ones leave in time, a dump is numbered anew."""

import time
from datetime import timedelta

import pytest
from sqlalchemy import text

from shared import database
from shared.changes import maintenance
from shared.changes.cursor import BEGINNING
from shared.changes.feed import PAGE, page_of, parameters
from shared.database import migrate
from tests.harness import Harness
from tests.servers import connect

KEEP = timedelta(days=30)
FILLED = [
    """
    INSERT INTO accounts (account_id, workspace_id, platform, platform_account_id)
    SELECT 'acc_' || n, 'ws_1', 'x', n::text FROM generate_series(1, 7) n
    """,
    """
    INSERT INTO publications (workspace_id, post_id, account_id, platform, platform_post_id, created_at)
    SELECT 'ws_1', 'post_' || n, 'acc_1', 'x', n::text, now() FROM generate_series(1, 23) n
    """,
    "INSERT INTO post_analytics (publication_id) SELECT id FROM publications",
]


def seen(url: str) -> list[str]:
    """Return what a walk from the beginning of the feed shows, in its order."""
    with connect(url) as connection:
        bound = parameters("ws_1", BEGINNING, 500)
        rows = connection.execute(PAGE, bound).fetchall()
    changes = page_of(rows, BEGINNING, None, KEEP, 500).changes
    return [one.body.get("publication_id") or one.body["account"]["account_id"] for one in changes]


def test_rows_that_existed_are_filled_in_by_slices_and_seen_once(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "ACCOUNTS_AT_ONCE", 3)
    monkeypatch.setattr(maintenance, "PUBLICATIONS_AT_ONCE", 10)
    migrate(empty_database_url, "0130")
    with connect(empty_database_url) as connection:
        for statement in FILLED:
            connection.execute(statement.encode())
        migrate(empty_database_url)
        connection.execute("UPDATE post_analytics SET error_message = 'x' WHERE publication_id = 20")
        connection.execute("DELETE FROM publications WHERE id = 21")
        connection.execute("UPDATE accounts SET state = 'disconnected' WHERE account_id = 'acc_7'")
    engine = database.connect(empty_database_url, application="tests", role="dravo_scheduler")
    slices = 1
    while True:
        with engine.begin() as scheduler:
            if not maintenance.fill(scheduler):
                break
        slices += 1
    with engine.begin() as scheduler:
        assert not maintenance.fill(scheduler)
    engine.dispose()

    walk = seen(empty_database_url)
    assert slices == 6
    assert walk[:3] == ["20", "21", "acc_7"]
    assert sorted(walk) == sorted([*(f"acc_{n}" for n in range(1, 8)), *map(str, range(1, 24))])


def test_slice_gives_way_to_a_writer_that_holds_one_of_its_rows(harness: Harness, database_url: str) -> None:
    rows = harness.publications(harness.account("acc_1"), 3)
    harness.execute("DELETE FROM changes")
    harness.execute("UPDATE changes_backfill SET last_id = :last", last=rows[-1])
    harness.execute(
        "INSERT INTO changes_backfill SELECT 0, :last WHERE NOT EXISTS (SELECT FROM changes_backfill)",
        last=rows[-1],
    )
    with connect(database_url) as writer:
        writer.execute("BEGIN")
        writer.execute("UPDATE post_analytics SET error_message = 'x' WHERE publication_id = %s", [rows[2]])
        began = time.monotonic()
        with harness.scheduler.begin() as scheduler:
            assert maintenance.fill(scheduler)
        assert time.monotonic() - began < 10, "it waits less than the usual lock timeout of 20 seconds"
        assert harness.execute("SELECT FROM changes") == []
        writer.execute("UPDATE post_analytics SET error_message = 'x' WHERE publication_id = %s", [rows[0]])
        writer.execute("COMMIT")

    with harness.scheduler.begin() as scheduler:
        assert maintenance.fill(scheduler)
    assert len(harness.execute("SELECT FROM changes")) == 3


def test_deleted_rows_are_kept_for_the_days_of_the_setting_and_one_more(harness: Harness) -> None:
    rows = harness.publications(harness.account("acc_1"), 4)
    for row, age in zip(rows, ("31 days 1 minute", "30 days 23 hours", "1 day", "90 days"), strict=True):
        if age != "90 days":
            harness.execute("DELETE FROM publications WHERE id = :id", id=row)
        harness.execute(
            "UPDATE changes SET changed_at = now() - CAST(:age AS interval) WHERE publication_id = :id",
            age=age,
            id=row,
        )

    with harness.engine.begin() as other, harness.scheduler.begin() as scheduler:
        other.execute(text("SELECT FROM changes FOR UPDATE"))
        scheduler.exec_driver_sql("SET LOCAL lock_timeout = '1s'")
        assert not maintenance.purge(scheduler, KEEP)
    assert len(harness.execute("SELECT FROM changes")) == 4, "a row that another session has is passed over"
    with harness.scheduler.begin() as scheduler:
        assert not maintenance.purge(scheduler, KEEP)

    remaining = harness.execute("SELECT publication_id FROM changes ORDER BY 1")
    assert [one for (one,) in remaining] == rows[1:]


def test_dump_from_a_server_that_is_ahead_is_numbered_anew_by_migrate(
    harness: Harness, database_url: str
) -> None:
    rows = harness.publications(harness.account("acc_1"), 3)
    harness.account("acc_2", workspace_id="ws_2")
    harness.execute("UPDATE changes SET changed_in = '9000000000' WHERE publication_id <> :id", id=rows[0])
    with harness.engine.begin() as connection:
        connection.execute(text("ALTER TABLE accounts DISABLE TRIGGER USER"))
        connection.execute(text("UPDATE accounts SET changed_in = '9000000000'"))
        connection.execute(text("ALTER TABLE accounts ENABLE TRIGGER USER"))
    assert seen(database_url) == [str(rows[0])]
    harness.execute(
        "INSERT INTO webhook_endpoints (endpoint_id, workspace_id, url, host, sealed_secret, changed_in)"
        " VALUES ('whe_1', 'ws_1', '', '', '', '9000000000'), ('whe_2', 'ws_1', '', '', '', '9000000000')"
    )
    harness.execute(
        "UPDATE webhook_endpoints SET state = 'disabled', next_run_at = NULL WHERE endpoint_id = 'whe_2'"
    )

    migrate(database_url)

    assert seen(database_url) == [str(rows[0]), "acc_1", str(rows[1]), str(rows[2])]
    ahead = "SELECT FROM accounts WHERE changed_in > pg_current_xact_id()"
    assert harness.execute(ahead) == []
    woken = "SELECT next_run_at <= now() FROM webhook_endpoints WHERE changed_in = '0' ORDER BY endpoint_id"
    assert [one for (one,) in harness.execute(woken)] == [True, None], "a disabled one stays so"


def test_rows_that_another_process_fills_in_are_left_to_it_without_waiting(harness: Harness) -> None:
    harness.execute("INSERT INTO changes_backfill (after_id, last_id) VALUES (0, 9) ON CONFLICT DO NOTHING")

    with harness.engine.begin() as first, harness.engine.begin() as second:
        first.execute(text("SELECT FROM changes_backfill FOR UPDATE"))
        assert maintenance.fill(second) is False
