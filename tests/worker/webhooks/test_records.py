"""What the end of a delivery writes, and to which rows: exact instants, and others' rows beside them."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.changes.cursor import AFTER_ALL_OF, Cursor, Kind, Position
from tests.worker.webhooks.ending import REFUSED, TAKEN, end, notice, prepared, set_own
from tests.worker.webhooks.world import World
from worker.webhooks import claims, records
from worker.webhooks.rules import Answer, DeliveryOutcome


def test_success_ends_failures_moves_the_position_and_rests_a_second(world: World) -> None:
    (row,) = world.publish()
    set_own(
        world,
        "failures = 3, failing_since = now(), failure = 'x', reported_at = now(), rows_allowed = 4,"
        " most_rows = 6, refused_alone = 1, reset = TRUE, slow = TRUE,"
        " sealed_former_secret = 'f', former_secret_until = now() - interval '1 second'",
    )

    after = end(world, *prepared(world), TAKEN)

    assert (after.failures, after.failing_since, after.failure, after.reported_at) == (0, None, None, None)
    assert (after.rows_allowed, after.most_rows, after.refused_alone) == (8, 6, 0)
    assert (after.reset, after.slow, after.sealed_former_secret) == (False, False, None)
    assert (after.next_run_at, after.rests, after.delivered_at) == (None, timedelta(seconds=1), after.now)
    assert after.changed_key == int(row)
    assert after.cursor is not None


def test_endpoint_that_takes_more_than_two_seconds_is_slow(world: World) -> None:
    for answer in (TAKEN, REFUSED):
        for seconds, slow in ((2.001, True), (2.0, False)):
            world.publish()
            world.places = claims.Places(64)
            set_own(world, "next_run_at = now()")
            assert end(world, *prepared(world), replace(answer, seconds=seconds)).slow is slow


def test_more_changes_make_it_due_at_once(world: World) -> None:
    world.publish(2)
    set_own(world, "rows_allowed = 1")

    assert end(world, *prepared(world), TAKEN).waits == timedelta()


def test_delivered_notice_goes_alone_and_changes_neither_position_nor_progress(world: World) -> None:
    world.publish()
    other = world.add("webhook.failing")
    first, second, of_other = (notice(world, one) for one in (world.endpoint_id, world.endpoint_id, other))
    set_own(world, "failures = 3, rows_allowed = 4, refused_alone = 2, reset = TRUE, next_run_at = now()")
    before = world.row()
    endpoint, sent = prepared(world)
    assert (sent.notice_id, sent.batch) == (first, None)

    after = end(world, endpoint, sent, TAKEN)

    left = world.harness.execute("SELECT notice_id FROM webhook_notices ORDER BY notice_id")
    assert [one for (one,) in left] == [second, of_other]
    assert (after.failures, after.rows_allowed, after.refused_alone, after.reset) == (0, 4, 2, True)
    assert (after.cursor, after.changed_in, after.changed_key) == (
        before.cursor,
        before.changed_in,
        before.changed_key,
    )
    assert after.waits == timedelta(), "the feed or another notice may wait"


def test_notice_that_comes_during_a_delivery_is_sent_after_it(world: World) -> None:
    world.publish()
    endpoint, sent = prepared(world)
    notice(world, world.endpoint_id)
    after = end(world, endpoint, sent, TAKEN)
    assert after.next_run_at is None
    world.places.release(endpoint.claim)

    world.settle()

    assert [one.body["type"] for one in world.receiver.take()] == ["webhook.failing"]


def test_413_of_many_rows_is_no_failure(world: World) -> None:
    world.publish(4)

    after = end(world, *prepared(world), Answer(DeliveryOutcome.REFUSED, 0.5, 413))

    assert (after.failures, after.failing_since, after.most_rows, after.waits) == (
        0,
        None,
        2,
        timedelta(seconds=1),
    )


def test_failure_keeps_the_instant_of_the_first_one(world: World) -> None:
    world.publish()
    first = end(world, *prepared(world), REFUSED)
    assert (first.failing_since, first.failure, first.failures) == (first.now, "status 500", 1)
    world.harness.execute("UPDATE webhook_endpoints SET next_run_at = now()")
    world.places = claims.Places(64)

    second = end(world, *prepared(world), replace(REFUSED, status=None, failure="ConnectError"))

    assert (second.failing_since, second.failure, second.failures) == (first.now, "ConnectError", 2)


@pytest.mark.parametrize(
    ("failing", "reported", "noticed"),
    [
        ("59 minutes", "NULL", False),
        ("61 minutes", "NULL", True),
        ("61 minutes", "now() - interval '23 hours'", False),
        ("2 days", "now() - interval '25 hours'", True),
    ],
)
def test_failing_endpoint_is_reported_after_an_hour_and_daily(
    world: World, failing: str, reported: str, *, noticed: bool
) -> None:
    other, disabled, unwilling = world.add(), world.add(), world.add("analytics.updated")
    world.harness.execute(
        "UPDATE webhook_endpoints SET state = 'disabled', next_run_at = NULL WHERE endpoint_id = :id",
        id=disabled,
    )
    world.harness.execute(
        "UPDATE webhook_endpoints SET workspace_id = 'ws_2' WHERE endpoint_id = :id", id=world.add()
    )
    world.publish()
    set_own(world, f"failures = 2, failing_since = now() - interval '{failing}', reported_at = {reported}")
    endpoint, sent = prepared(world)
    world.harness.execute(
        "UPDATE webhook_endpoints SET next_run_at = NULL WHERE endpoint_id <> :id", id=world.endpoint_id
    )

    after = end(world, endpoint, sent, REFUSED)

    notices = world.harness.execute("SELECT endpoint_id, type, body FROM webhook_notices")
    assert [one.endpoint_id for one in notices] == ([other] if noticed else [])
    assert (after.reported_at == after.now) is noticed
    assert after.state == "enabled"
    assert (world.row(other).next_run_at is not None) is noticed
    assert (world.row(unwilling).next_run_at, world.row(disabled).next_run_at) == (None, None)
    if noticed:
        assert notices[0].type == "webhook.failing"
        assert notices[0].body == {
            "endpoint_id": world.endpoint_id,
            "failing_since": after.failing_since.isoformat(),
            "failure": "status 500",
        }


def test_endpoint_that_fails_for_the_days_of_the_setting_is_disabled(world: World) -> None:
    world.publish()
    for hours, disabled in ((119, False), (121, True)):
        since = f"failing_since = now() - interval '{hours} hours'"
        set_own(world, f"failures = 9, reported_at = now(), next_run_at = now(), {since}")
        world.places = claims.Places(64)

        after = end(world, *prepared(world), REFUSED)

        assert (after.state == "disabled", after.next_run_at is None) == (disabled, disabled)
        assert (after.state_changed_at == after.now) is disabled


def test_notice_does_not_shorten_the_wait_of_an_endpoint_that_fails(world: World) -> None:
    other = world.add()
    world.publish()
    endpoint, sent = prepared(world)
    world.harness.execute(
        "UPDATE webhook_endpoints SET next_run_at = now() + interval '1 hour' WHERE endpoint_id = :id",
        id=other,
    )

    end(world, endpoint, sent, Answer(DeliveryOutcome.GONE, 0.5, 410))

    assert world.row(other).waits > 3_000


def test_start_over_begins_at_the_beginning_behind_the_fence(world: World) -> None:
    world.publish()
    endpoint, _ = prepared(world)
    late = replace(endpoint.claim, claim_seq=endpoint.claim.claim_seq - 1)
    cursor = Cursor(Position(7, Kind.PUBLICATION, AFTER_ALL_OF), b"o" * 8, world.row().created_at)
    with world.sender.begin() as connection:
        assert not records.start_over(connection, late)
        assert not records.move(connection, late, cursor, more=True)
        assert records.start_over(connection, endpoint.claim)
    row = world.row()

    assert (row.cursor, row.changed_in, row.changed_key, row.reset) == (None, "0", 0, True)
    assert row.waits <= 0


def test_moved_endpoint_is_due_when_the_feed_has_more(world: World) -> None:
    world.publish()
    endpoint, _ = prepared(world)
    for more in (True, False):
        cursor = Cursor(Position(7 + more, Kind.PUBLICATION, 9), b"o" * 8, world.row().created_at)
        with world.sender.begin() as connection:
            assert records.move(connection, endpoint.claim, cursor, more=more)
        row = world.row()
        assert (row.changed_in, row.changed_key) == (str(7 + more), 9)
        assert (row.next_run_at is not None) is more


def test_record_of_a_claim_that_does_not_stand_writes_nothing(world: World) -> None:
    world.publish()
    endpoint, sent = prepared(world)
    for lost in ("claim_seq = claim_seq + 1", "claim_seq = claim_seq - 1, workspace_id = 'ws_2'"):
        set_own(world, lost)
        before = world.row()[:-1]
        for answer in (TAKEN, REFUSED, Answer(DeliveryOutcome.GONE, 0.5, 410)):
            with world.sender.begin() as connection:
                assert not records.record(connection, endpoint, sent, answer, days=5)
                assert claims.load(connection, endpoint.claim) is None
            assert world.row()[:-1] == before

    assert world.harness.execute("SELECT FROM webhook_deliveries") == []
