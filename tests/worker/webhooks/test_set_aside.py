"""Rows that an endpoint refuses alone: set aside, tried again, and listed."""

from datetime import timedelta

from shared.webhooks import deliveries, endpoints
from tests.worker.webhooks.ending import REFUSED, TAKEN, end, prepared, refused, set_own
from tests.worker.webhooks.failing import HOUR, fail_until
from tests.worker.webhooks.receiver import OK, Script
from tests.worker.webhooks.world import World
from worker.webhooks import claims, records
from worker.webhooks.rules import MOST_REFUSED


def refusing(poison: str) -> Script:
    return lambda request: (500, {}) if poison in request.ids else OK


def aside(world: World) -> list[str]:
    return [one for (one,) in world.harness.execute("SELECT subject FROM webhook_refused_rows")]


def test_row_that_is_refused_alone_is_set_aside_once_its_successor_is_taken(world: World) -> None:
    first, poison, third = world.publish(3)
    world.receiver.script = refusing(poison)

    fail_until(world, lambda: aside(world) == [poison])
    world.settle()

    sent = world.receiver.take()
    accepted = [one for request in sent if poison not in request.ids for one in request.ids]
    alone = [request for request in sent if request.ids == [poison]]
    assert accepted == [first, third]
    assert len(alone) == 3
    assert world.row().failures == 0


def test_endpoint_that_refuses_everything_sets_nothing_aside(world: World) -> None:
    world.publish(4)
    world.receiver.script = lambda _request: (500, {})

    for _ in range(15):
        world.pass_time(2 * HOUR)
        world.step()

    assert aside(world) == []
    assert world.row().delivered_at is None


def test_row_set_aside_is_tried_alone_after_1_6_and_24_hours_and_then_listed(world: World) -> None:
    poison, _ = world.publish(2)
    world.receiver.script = refusing(poison)
    fail_until(world, lambda: aside(world) == [poison])
    world.settle()
    world.receiver.take()

    for hours in (1, 6, 24):
        world.pass_time((hours - 0.1) * HOUR)
        world.settle()
        assert world.receiver.take() == []
        world.pass_time(0.2 * HOUR)
        world.settle()
        assert [one.ids for one in world.receiver.take()] == [[poison]]

    with world.harness.engine.begin() as connection:
        endpoint = endpoints.find(connection, world.endpoint_id)
        (refused,) = deliveries.refused_rows(connection, endpoint)
    assert (refused["subject"], refused["tries"], refused["next_try_at"]) == (poison, 3, None)
    assert (endpoint.state, endpoint.refused_rows) == ("enabled", 1)


def test_row_set_aside_arrives_in_its_newest_state_when_it_is_taken_again(world: World) -> None:
    poison, _ = world.publish(2)
    world.receiver.script = refusing(poison)
    fail_until(world, lambda: aside(world) == [poison])
    world.receiver.script = lambda _request: OK
    world.receiver.take()
    world.pass_time(HOUR)

    world.settle()

    assert [one.ids for one in world.receiver.take()] == [[poison]]
    assert aside(world) == []


def test_newer_change_of_a_row_set_aside_comes_by_the_feed(world: World) -> None:
    poison, _ = world.publish(2)
    world.receiver.script = refusing(poison)
    fail_until(world, lambda: aside(world) == [poison])
    world.receiver.script = lambda _request: OK
    world.settle()
    world.receiver.take()

    world.change(poison)
    world.settle()

    assert [one.ids for one in world.receiver.take()] == [[poison]]
    assert aside(world) == []


def test_no_more_rows_are_set_aside_than_allowed(world: World) -> None:
    poison, _ = world.publish(2)
    world.harness.execute(
        "INSERT INTO webhook_refused_rows (endpoint_id, workspace_id, subject)"
        " SELECT :id, 'ws_1', 'other ' || n FROM generate_series(1, :most) n",
        id=world.endpoint_id,
        most=MOST_REFUSED,
    )
    world.receiver.script = refusing(poison)

    for _ in range(12):
        world.pass_time(2 * HOUR)
        world.step()

    assert poison not in aside(world)
    assert {tuple(one.ids) for one in world.receiver.take()[1:]} == {(poison,)}


def test_taken_rows_are_no_longer_refused_by_this_endpoint_alone(world: World) -> None:
    rows = world.publish(2)
    other = world.add()
    for endpoint_id in (world.endpoint_id, other):
        refused(world, rows[0], endpoint_id, "NULL")
        refused(world, "999", endpoint_id, "NULL")

    end(world, *prepared(world), TAKEN)

    left = world.harness.execute("SELECT endpoint_id, subject FROM webhook_refused_rows ORDER BY 1, 2")
    assert {tuple(one) for one in left} == {(world.endpoint_id, "999"), (other, rows[0]), (other, "999")}


def test_row_that_is_set_aside_again_begins_its_tries_anew(world: World) -> None:
    poison, _ = world.publish(2)
    refused(world, poison, next_try="NULL", tries=3)
    set_own(world, "refused_alone = 3, failures = 3, rows_allowed = 1")
    endpoint, sent = prepared(world)
    assert sent.batch is not None
    assert sent.batch.skipped == poison

    end(world, endpoint, sent, TAKEN)

    ((tries, wait),) = world.harness.execute(
        "SELECT tries, next_try_at - refused_at FROM webhook_refused_rows"
    )
    assert (tries, wait) == (0, timedelta(hours=1))


def test_refused_row_is_tried_later_and_the_endpoint_goes_on(world: World) -> None:
    rows = world.publish(2)
    world.settle()
    other = world.add()
    for one in rows:
        refused(world, one, next_try="now() + interval '1 day'")
    refused(world, rows[0], other, "now() + interval '1 day'")
    waits = [timedelta(hours=6), timedelta(hours=24), None]
    for tries, wait in enumerate(waits):
        world.harness.execute(
            "UPDATE webhook_refused_rows SET next_try_at = now()"
            " WHERE subject = :subject AND endpoint_id = :id",
            subject=rows[0],
            id=world.endpoint_id,
        )
        world.places = claims.Places(64)
        endpoint, sent = prepared(world)
        assert (sent.refused, sent.refused_tries, sent.batch) == (rows[0], tries, None)

        with world.sender.begin() as connection:
            assert records.record(connection, endpoint, sent, REFUSED, days=5)
            stored = connection.exec_driver_sql(
                "SELECT endpoint_id, subject, tries, next_try_at - now() AS wait FROM webhook_refused_rows"
            ).all()

        tried = [one for one in stored if tuple(one[:2]) == (world.endpoint_id, rows[0])]
        assert [(one.tries, one.wait) for one in tried] == [(tries + 1, wait)]
        assert [one.tries for one in stored if one not in tried] == [0, 0]
        assert (world.row().failures, world.row().waits <= 0) == (0, True)


def test_forgotten_row_is_of_this_endpoint(world: World) -> None:
    other = world.add()
    world.publish()
    for endpoint_id in (world.endpoint_id, other):
        refused(world, "7", endpoint_id)
        refused(world, "8", endpoint_id)
    endpoint, _ = prepared(world)
    with world.sender.begin() as connection:
        records.forget_refused(connection, endpoint.claim, "7")

    left = world.harness.execute("SELECT endpoint_id, subject FROM webhook_refused_rows")
    assert {tuple(one) for one in left} == {(world.endpoint_id, "8"), (other, "7"), (other, "8")}
    assert world.row().waits <= 0


def test_full_set_of_refused_rows_keeps_trying_the_same_row(world: World) -> None:
    world.publish(2)
    for number in range(99):
        refused(world, f"old {number}", next_try="NULL")
    set_own(world, "refused_alone = 2, failures = 2, rows_allowed = 1, most_rows = 7")
    assert end(world, *prepared(world), REFUSED).refused_alone == 3, "one more fits"
    refused(world, "old 99", next_try="NULL")
    set_own(world, "refused_alone = 2, failures = 2, next_run_at = now()")
    world.places = claims.Places(64)

    after = end(world, *prepared(world), REFUSED)

    assert (after.refused_alone, after.failures, after.rows_allowed, after.most_rows) == (0, 3, 1, 7)


def test_failing_endpoint_gets_the_feed_and_not_the_row_that_it_refused(world: World) -> None:
    rows = world.publish(2)
    refused(world, rows[0])
    set_own(world, "failures = 2, next_run_at = now()")

    _, sent = prepared(world)

    assert (sent.refused, sent.batch is not None) == (None, True)


def test_refused_row_whose_newest_state_is_not_wanted_is_forgotten(world: World) -> None:
    gone, other = world.publish(2)
    world.settle()
    set_own(world, "types = '{analytics.updated}', next_run_at = now()")
    refused(world, gone)
    world.harness.execute("DELETE FROM publications WHERE id = :id", id=gone)
    world.change(other)
    world.places = claims.Places(64)

    _, sent = prepared(world)

    assert (sent.refused, sent.message, sent.batch) == (gone, None, None)


def test_row_that_was_set_aside_and_is_due_longest_is_tried_first(world: World) -> None:
    rows = world.publish(2)
    world.settle()
    for row, seconds in zip(rows, (1, 2), strict=True):
        refused(world, row, next_try=f"now() - interval '{seconds} s'")

    _, sent = prepared(world)

    assert sent.refused == rows[1]
