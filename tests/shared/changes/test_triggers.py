"""Whoever writes a served value, the row of ``changes`` follows; what writes nothing new changes nothing."""

import threading
from typing import Any, Final

import pytest
from sqlalchemy import text

from shared.changes.feed import DELETED, UPDATED
from tests.harness import Harness
from tests.servers import connect


@pytest.fixture
def rows(harness: Harness) -> list[int]:
    return harness.publications(harness.account("acc_1"), 3)


def changed(harness: Harness) -> dict[int, int]:
    rows = harness.execute("SELECT publication_id, changed_in::text FROM changes")
    return {publication_id: int(changed_in) for publication_id, changed_in in rows}


CHANGES: Final = {
    "metrics": "UPDATE post_analytics SET metrics = '{\"views\": 1}' WHERE publication_id = :id",
    "status": "UPDATE post_analytics SET sync_status = 'partial' WHERE publication_id = :id",
    "warnings": "UPDATE post_analytics SET warnings = '{a}' WHERE publication_id = :id",
    "error": "UPDATE post_analytics SET error_message = 'x' WHERE publication_id = :id",
    "post": "UPDATE publications SET post_id = 'x' WHERE id = :id",
    "platform's id": "UPDATE publications SET platform_post_id = 'x' WHERE id = :id",
    "URL": "UPDATE publications SET platform_post_url = 'x' WHERE id = :id",
    "text": "UPDATE publications SET text = 'x' WHERE id = :id",
    "creation": "UPDATE publications SET created_at = now() WHERE id = :id",
    "publishing": "UPDATE publications SET published_at = now() WHERE id = :id",
    "deletion": "DELETE FROM publications WHERE id = :id",
}
UNCHANGED: Final = {
    "unchanged read": "UPDATE post_analytics SET metrics = metrics, warnings = '{}', last_updated_at = now(),"
    " stale_after = now(), attempted_at = now(), outcome = 'synced', version = version + 1",
    "same publication": "UPDATE publications SET text = text, created_at = created_at",
    "media type": "UPDATE publications SET media_type = 'IMAGE'",
    "id that is hidden by another": "UPDATE publications SET publish_id = id::text",
    "refresh state": "UPDATE refresh_state SET next_run_at = now(), claim_seq = claim_seq + 1",
    "token": "UPDATE accounts SET sealed_access_token = 'x'",
}


@pytest.mark.parametrize("statement", CHANGES.values(), ids=CHANGES.keys())
def test_change_of_a_served_value_moves_its_row_and_no_other(
    harness: Harness, rows: list[int], statement: str
) -> None:
    before = changed(harness)

    harness.execute(statement, id=rows[1])

    after = changed(harness)
    assert after.pop(rows[1]) > before.pop(rows[1])
    assert after == before


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("statement", UNCHANGED.values(), ids=UNCHANGED.keys())
def test_what_serves_the_same_writes_nothing(harness: Harness, statement: str) -> None:
    versions = "SELECT publication_id, ctid::text, xmin::text FROM changes ORDER BY 1"
    before = harness.execute(versions)
    accounts = harness.execute("SELECT changed_in::text FROM accounts")

    harness.execute(statement)

    assert harness.execute(versions) == before
    assert harness.execute("SELECT changed_in::text FROM accounts") == accounts


def test_many_statements_of_one_transaction_write_a_row_once(harness: Harness, rows: list[int]) -> None:
    versions = set()
    with harness.engine.begin() as connection:
        for statement in (CHANGES["error"], CHANGES["text"], CHANGES["metrics"]):
            connection.execute(text(statement), {"id": rows[0]})
            version = text("SELECT ctid::text FROM changes WHERE publication_id = :id")
            versions.add(connection.execute(version, {"id": rows[0]}).scalar_one())
    assert len(versions) == 1


def test_analytics_row_that_comes_after_its_publication_is_a_change(harness: Harness) -> None:
    account = harness.account("acc_1")
    (row,) = harness.publications(account)
    harness.execute("DELETE FROM post_analytics WHERE publication_id = :id", id=row)
    before = changed(harness)[row]

    harness.execute("INSERT INTO post_analytics (publication_id) VALUES (:id)", id=row)

    assert changed(harness)[row] > before


def test_state_of_an_account_is_a_change_with_its_instant(harness: Harness) -> None:
    harness.account("acc_1")
    columns = "SELECT changed_in::text::bigint, state_changed_at FROM accounts"
    ((number, at),) = harness.execute(columns)

    harness.execute("UPDATE accounts SET state = 'disconnected'")

    ((later, later_at),) = harness.execute(columns)
    assert (later > number, later_at > at) == (True, True)


def test_emptied_publications_leave_no_changes(harness: Harness, rows: list[int]) -> None:
    assert sorted(changed(harness)) == rows

    harness.execute("TRUNCATE publications CASCADE")

    assert changed(harness) == {}


def test_writers_of_the_same_rows_in_other_orders_wait_and_do_not_deadlock(
    harness: Harness, rows: list[int]
) -> None:
    """One updates analytics rows, the other publications: only ``changes`` brings them together."""
    url = harness.engine.url.render_as_string(hide_password=False)
    errors: list[Exception] = []

    def write(statement: str) -> None:
        try:
            with connect(url) as connection:
                for _ in range(30):
                    connection.execute(statement.encode())
        except Exception as error:  # noqa: BLE001 - the test reports it
            errors.append(error)

    analytics = (
        "UPDATE post_analytics a SET error_message = gen_random_uuid()::text FROM (SELECT publication_id"
        " FROM post_analytics ORDER BY publication_id {}) o WHERE a.publication_id = o.publication_id"
    )
    publications = "UPDATE publications SET text = gen_random_uuid()::text"
    threads = [
        threading.Thread(target=write, args=(statement,))
        for statement in (analytics.format("DESC"), publications)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sorted(changed(harness)) == rows


def test_types_are_those_of_the_contract() -> None:
    assert (UPDATED, DELETED) == ("analytics.updated", "analytics.deleted")


def test_worker_of_the_version_before_writes_changes_by_the_triggers_alone(harness: Harness) -> None:
    """Its role may, and its statement names no column of the feed."""
    (row,) = harness.publications(harness.account("acc_1"))
    before = changed(harness)[row]

    with harness.context.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE post_analytics SET metrics = '{\"views\": 9}' WHERE publication_id = %(id)s", {"id": row}
        )

    after: Any = changed(harness)[row]
    assert after > before
