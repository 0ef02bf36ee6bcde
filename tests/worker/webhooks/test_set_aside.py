"""Rows that an endpoint refuses alone: set aside, tried again, and listed."""

from shared.webhooks import deliveries, endpoints
from tests.worker.webhooks.failing import HOUR, fail_until
from tests.worker.webhooks.receiver import OK, Script
from tests.worker.webhooks.world import World
from worker.webhooks.rules import (
    MOST_REFUSED,
)


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
