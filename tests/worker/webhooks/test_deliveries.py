"""What an endpoint gets: the feed in its order, signed, in batches, and what a failure does to that."""

import json
from datetime import UTC, datetime, timedelta

import jsonschema_rs
import pytest
from standardwebhooks import WebhookVerificationError

from api_stub.docs.openapi import DOCUMENT
from shared.changes import cursor as cursors
from shared.changes.cursor import Cursor, Kind, Position, origin_of
from shared.changes.feed import Change, Page
from shared.webhooks import endpoints
from tests.worker.webhooks.receiver import OK, Request
from tests.worker.webhooks.world import World
from worker.webhooks.messages import Recipient, build
from worker.webhooks.rules import MOST_ROWS
from worker.webhooks.sender import deliver


def test_change_is_delivered_as_the_feed_has_it_and_signed(world: World) -> None:
    (row,) = world.publish()

    world.settle()

    (request,) = world.receiver.take()
    assert request.verify(world.secret.get_secret_value()) == request.body
    assert request.headers["content-type"] == "application/json"
    assert request.body["type"] == "analytics.updated"
    assert request.body["timestamp"] == request.changes[0]["changed_at"]
    assert request.body["data"]["workspace_id"] == "ws_1"
    assert request.body["data"]["has_more"] is False
    assert request.body["data"]["cursor"].startswith("c1_")
    schema = {"$ref": "#/components/schemas/ChangesDelivery", "components": DOCUMENT["components"]}
    jsonschema_rs.validate(schema, request.body)
    assert request.changes[0]["publication_id"] == request.changes[0]["item"]["publication_id"] == row
    with pytest.raises(WebhookVerificationError):
        request.verify("whsec_" + "A" * 43 + "=")


def test_nothing_is_sent_twice_and_changes_from_before_the_endpoint_are_not_sent(world: World) -> None:
    world.publish(3)
    later = world.add()
    world.settle()
    assert len(world.receiver.take()) == 1

    world.settle()

    assert world.receiver.take() == []
    assert world.row(later).delivered_at is None


def test_endpoint_from_the_beginning_gets_every_row_in_runs_of_one_type(world: World) -> None:
    rows = world.publish(3)
    world.harness.execute("DELETE FROM publications WHERE id = :id", id=rows[1])
    world.settle()
    world.receiver.take()

    world.add(beginning=True)
    world.settle()

    sent = world.receiver.take()
    assert [(one.body["type"], one.ids) for one in sent] == [
        ("account.active", ["acc_1"]),
        ("analytics.updated", [rows[0], rows[2]]),
        ("analytics.deleted", [rows[1]]),
    ]


def test_batch_is_bounded_in_rows(world: World) -> None:
    rows = world.publish(MOST_ROWS + 3)

    world.settle()

    first, second = world.receiver.take()
    assert (len(first.ids), first.body["data"]["has_more"]) == (MOST_ROWS, True)
    assert first.ids + second.ids == rows


def test_batch_is_bounded_in_bytes_and_one_row_always_goes(world: World) -> None:
    rows = world.publish(4)
    world.harness.execute("UPDATE post_analytics SET error_message = repeat('ä', 15000)")
    world.harness.execute(
        "UPDATE post_analytics SET error_message = repeat('x', 90000) WHERE publication_id = :id", id=rows[3]
    )

    world.settle()

    sent = world.receiver.take()
    assert [one.ids for one in sent] == [rows[:2], rows[2:3], rows[3:]]
    assert all(len(one.raw) <= 64 * 1024 for one in sent[:2])


def test_types_that_an_endpoint_does_not_want_are_passed_over(world: World) -> None:
    only_deleted = world.add("analytics.deleted")
    with world.harness.engine.begin() as connection:
        endpoints.remove(connection, endpoints.find(connection, world.endpoint_id))
    rows = world.publish(3)
    world.harness.execute("DELETE FROM publications WHERE id = :id", id=rows[0])

    world.settle()

    (request,) = world.receiver.take()
    assert (request.body["type"], request.ids) == ("analytics.deleted", rows[:1])
    assert world.row(only_deleted).next_run_at is None


def test_thin_delivery_holds_a_cursor_from_which_its_changes_can_be_pulled(world: World) -> None:
    with world.harness.engine.begin() as connection:
        endpoints.remove(connection, endpoints.find(connection, world.endpoint_id))
    before = world.row(world.add(thin=True)).cursor
    world.publish(2)

    world.settle()

    (request,) = world.receiver.take()
    assert "changes" not in request.body["data"]
    assert request.body["data"]["cursor"] == before


def test_row_that_changes_during_an_outage_goes_out_once(world: World) -> None:
    rows = world.publish(3)
    world.receiver.script = lambda _request: (500, {})
    world.step()
    for _ in range(10):
        world.change(*rows)
    world.receiver.script = lambda _request: OK
    world.receiver.take()
    world.pass_time(60)

    world.settle()

    assert [one for request in world.receiver.take() for one in request.ids] == rows


def test_after_a_failure_one_row_goes_as_a_probe_and_each_success_doubles(world: World) -> None:
    world.publish(20)
    world.receiver.script = lambda _request: (503, {})
    world.step()
    assert len(world.receiver.take()[0].ids) == 20

    world.receiver.script = lambda _request: OK
    world.pass_time(60)
    world.settle()

    assert [len(one.ids) for one in world.receiver.take()] == [1, 2, 4, 8, 5]


def test_413_halves_the_batch_without_counting_as_a_failure(world: World) -> None:
    rows = world.publish(20)
    world.receiver.script = lambda request: OK if len(request.ids) <= 6 else (413, {})

    for _ in range(12):
        world.step()
        world.pass_time(2)

    accepted = [one for one in world.receiver.take() if len(one.ids) <= 6]
    assert [one for request in accepted for one in request.ids] == rows
    assert (world.row().failures, world.row().most_rows) == (0, 5)


def test_same_content_has_the_same_id_after_a_crash_and_newer_content_another(world: World) -> None:
    rows = world.publish(2)
    (claim,) = world.claim()
    deliver(world.context, claim)
    world.harness.execute("UPDATE webhook_endpoints SET cursor = NULL, changed_in = '0', changed_key = 0")
    world.harness.execute("UPDATE webhook_endpoints SET types = '{analytics.updated}', next_run_at = now()")
    world.places.release(claim)
    world.settle()
    world.change(rows[0])
    world.settle()

    first, again, newer = world.receiver.take()
    assert first.headers["webhook-id"] == again.headers["webhook-id"] != newer.headers["webhook-id"]
    assert first.headers["webhook-id"].startswith("msg_")


def test_sender_that_lost_its_claim_does_not_move_the_position(world: World) -> None:
    world.publish(2)
    (frozen,) = world.claim()
    world.pass_time(31)
    (other,) = world.claim()
    deliver(world.context, other)
    world.publish(1)
    moved = world.row()

    assert not deliver(world.context, frozen)
    assert world.row() == moved


def test_sender_that_freezes_between_sending_and_recording_writes_nothing(world: World) -> None:
    world.publish(2)
    (frozen,) = world.claim()

    def take_over(_request: Request) -> tuple[int, dict[str, str]]:
        world.harness.execute("UPDATE webhook_endpoints SET claim_seq = claim_seq + 1, changed_key = 99")
        return OK

    world.receiver.script = take_over
    deliver(world.context, frozen)

    assert (world.row().changed_key, world.row().delivered_at) == (99, None)
    assert world.harness.execute("SELECT FROM webhook_deliveries") == []


def test_position_older_than_the_feed_remembers_starts_over_and_says_so(world: World) -> None:
    rows = world.publish(2)
    world.harness.execute("UPDATE webhook_endpoints SET types = '{analytics.updated}'")
    world.settle()
    world.receiver.take()
    other = "UPDATE webhook_endpoints SET cursor = :cursor, next_run_at = now()"
    known = cursors.decode(world.row().cursor, "ws_1")
    moved = cursors.Cursor(known.position, cursors.origin_of(1, 1, 1), known.at)
    world.harness.execute(other, cursor=cursors.encode(moved, "ws_1"))

    world.settle()
    world.change(rows[0])
    world.settle()

    first, later = world.receiver.take()
    assert (first.ids, first.body["data"]["reset"]) == (rows, True)
    assert "reset" not in later.body["data"]


def test_open_transaction_holds_deliveries_and_none_is_missed(world: World) -> None:
    rows = world.publish(2)
    world.settle()
    world.receiver.take()
    with world.harness.engine.connect() as older:
        older.exec_driver_sql(
            "UPDATE post_analytics SET error_message = 'x' WHERE publication_id = %(id)s", {"id": rows[0]}
        )
        world.change(rows[1])
        world.settle()
        assert world.receiver.take() == []
        older.commit()

    world.settle()

    assert [one.ids for one in world.receiver.take()] == [rows]


NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
RECIPIENT = Recipient("ep_1", "ws_1", frozenset(), thin=False, redelivery=0, reset=False)


def at(number: int) -> Position:
    return Position(9, Kind.PUBLICATION, number)


def cursor(number: int) -> Cursor:
    return Cursor(at(number), origin_of(1, 2, 3), NOW)


def change(number: int) -> Change:
    body = {"type": "analytics.updated", "change": f"c{number}", "publication_id": str(number)}
    return Change(at(number), NOW + number * SECOND, body)


@pytest.mark.parametrize(
    ("rows", "page_has_more", "has_more", "subjects"),
    [(50, False, False, ("1", "2")), (50, True, True, ("1", "2")), (1, False, True, ("1",))],
)
def test_message_has_its_newest_instant_and_says_whether_the_feed_has_more(
    rows: int, subjects: tuple[str, ...], *, page_has_more: bool, has_more: bool
) -> None:
    page = Page([change(1), change(2)], cursor(7), page_has_more)

    batch = build(RECIPIENT, page, cursor(0), rows, skip_first=False)

    assert batch.message is not None
    body = json.loads(batch.message.body)
    assert batch.message.subjects == subjects
    assert datetime.fromisoformat(body["timestamp"]) == NOW + len(subjects) * SECOND
    assert batch.message.oldest_change == NOW + SECOND
    assert (batch.has_more, body["data"]["has_more"]) == (has_more, has_more)
    assert batch.cursor == (cursor(7) if len(subjects) == 2 else cursor(1))
