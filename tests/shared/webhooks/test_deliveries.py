"""The log of deliveries, and going back to deliver again."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.changes.cursor import AFTER_ALL_OF, decode
from shared.vocabulary import Platform
from shared.webhooks import deliveries
from shared.webhooks.endpoints import EndpointError
from tests.harness import Harness
from tests.shared.webhooks.stored import HOUR, read, row


def log(harness: Harness, endpoint_id: str, outcome: str, cursor: str | None = None, ws: str = "ws_1") -> int:
    ((stored,),) = harness.execute(
        "INSERT INTO webhook_deliveries (endpoint_id, workspace_id, type, message_id, rows, attempt, outcome,"
        " seconds, cursor_before) VALUES (:id, :ws, 't', 'm', 1, 1, :outcome, 1, :cursor)"
        " RETURNING delivery_id",
        id=endpoint_id,
        ws=ws,
        outcome=outcome,
        cursor=cursor,
    )
    return int(stored)


def test_log_lists_an_endpoint_s_deliveries_the_newest_first(harness: Harness, pair: tuple[str, str]) -> None:
    one, other = pair
    first, second, third = (log(harness, one, outcome) for outcome in ("timeout", "delivered", "refused"))
    log(harness, other, "refused")
    log(harness, one, "refused", ws="ws_2")
    for number, subject in enumerate("cba"):
        harness.execute(
            "INSERT INTO webhook_refused_rows (endpoint_id, workspace_id, subject, refused_at, tries)"
            " VALUES (:id, :ws, :subject, now() - CAST(:age AS interval), 2)",
            id=one if number else other,
            ws="ws_1",
            subject=subject,
            age=timedelta(hours=number),
        )
    endpoint = read(harness, one)

    with harness.engine.begin() as connection:
        listed = deliveries.list_deliveries
        assert [d.delivery_id for d in listed(connection, endpoint)] == [third, second, first]
        assert [d.delivery_id for d in listed(connection, endpoint, failed=True)] == [third, first]
        assert [d.delivery_id for d in listed(connection, endpoint, most=1)] == [third]
        refused = deliveries.refused_rows(connection, endpoint)
        foreign = replace(endpoint, workspace_id="ws_3")
        assert deliveries.refused_rows(connection, foreign) == []
    assert [(entry["subject"], entry["tries"]) for entry in refused] == [("a", 2), ("b", 2)]


def test_redelivery_begins_where_that_delivery_began(harness: Harness, pair: tuple[str, str]) -> None:
    one, other = pair
    cursor = row(harness, one).cursor
    later, start, of_other = log(harness, one, "delivered", cursor), log(harness, one, "delivered"), 0
    of_other = log(harness, other, "delivered")
    harness.execute(
        "UPDATE webhook_endpoints SET cursor = 'moved', changed_in = '9', changed_key = 9, claim_seq = 3,"
        " refused_alone = 3, next_run_at = NULL"
    )
    endpoint = read(harness, one)
    for delivery_id, expected in ((later, cursor), (start, None)):
        with harness.engine.begin() as connection:
            deliveries.redeliver_from(connection, endpoint, delivery_id)
        assert row(harness, one).cursor == expected
    stored = row(harness, one)
    assert (stored.changed_in, stored.changed_key, stored.refused_alone) == ("0", 0, 0)
    assert (stored.redelivery, stored.claim_seq, stored.next_run_at is not None) == (2, 5, True)
    for workspace_id, delivery_id in (("ws_1", of_other), ("ws_2", start)):
        with harness.engine.begin() as connection, pytest.raises(EndpointError, match="no delivery"):
            deliveries.redeliver_from(connection, replace(endpoint, workspace_id=workspace_id), delivery_id)
    harness.execute("UPDATE webhook_endpoints SET state = 'disabled', next_run_at = NULL")
    with harness.engine.begin() as connection:
        deliveries.redeliver_from(connection, endpoint, later)
    assert row(harness, one).next_run_at is None


def test_redelivery_since_an_instant_begins_with_the_first_change_of_it(
    harness: Harness, pair: tuple[str, str]
) -> None:
    one, _ = pair
    harness.publications("acc_1", 3)
    harness.account("acc_x", workspace_id="ws_2")
    harness.account("acc_y", Platform.X, workspace_id="ws_1")
    numbered = (
        "UPDATE changes SET changed_in = CAST(n::text AS xid8),"
        " changed_at = now() - (10 - n) * interval '1 hour'"
        " FROM (SELECT publication_id AS p, row_number() OVER (ORDER BY publication_id) * 2 AS n"
        " FROM changes) t"
        " WHERE p = publication_id"
    )
    harness.execute(numbered)  # transactions 2, 4 and 6: 8, 6 and 4 hours ago
    moved = (
        "UPDATE accounts SET changed_in = CAST(:n AS xid8), state_changed_at = now() - CAST(:h AS interval)"
    )
    for account_id, number, hours in (("acc_1", "1", 20), ("acc_x", "1", 1), ("acc_y", "3", 5)):
        harness.execute(f"{moved} WHERE account_id = :a", n=number, h=hours * HOUR, a=account_id)
    endpoint = read(harness, one)

    def position_since(hours: float) -> tuple[str, int]:
        with harness.engine.begin() as connection:
            ((now,),) = connection.exec_driver_sql("SELECT now()")
            deliveries.redeliver_since(connection, endpoint, now - hours * HOUR)
        stored = row(harness, one)
        assert decode(stored.cursor, "ws_1").position.changed_in == int(stored.changed_in)
        return stored.changed_in, stored.changed_key

    assert position_since(7) == ("2", AFTER_ALL_OF), "the account's later instant is of an older transaction"
    assert position_since(4.5) == ("5", AFTER_ALL_OF)
    assert position_since(9) == ("1", AFTER_ALL_OF)
    assert position_since(30) == ("0", AFTER_ALL_OF)
    with pytest.raises(EndpointError, match="nothing has changed"):
        position_since(0.5)
