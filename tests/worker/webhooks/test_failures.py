"""Failures: retries, rows that are refused alone, and endpoints that fail for long."""

from datetime import timedelta

import pytest

from shared.webhooks import deliveries, endpoints
from tests.worker.webhooks.failing import HOUR
from tests.worker.webhooks.receiver import OK
from tests.worker.webhooks.world import World
from worker.webhooks.rules import (
    RETRY_AFTER,
    Answer,
    DeliveryOutcome,
    Progress,
    after_failure,
    wait,
)

DAY = 24 * HOUR


@pytest.mark.parametrize(("failures", "seconds"), [(1, 5), (2, 30), (3, 120), (7, 3_600), (500, 3_600)])
def test_waits_grow_and_end_at_an_hour_with_jitter(failures: int, seconds: float) -> None:
    waits = {wait(failures, None) for _ in range(200)}

    assert min(waits) >= timedelta(seconds=seconds * 0.75)
    assert max(waits) <= timedelta(seconds=seconds * 1.25)
    assert len(waits) > 100


def test_retry_after_holds_up_to_an_hour() -> None:
    assert wait(1, timedelta(seconds=100)) == timedelta(seconds=100)
    assert wait(1, timedelta(days=3)) == timedelta(hours=1)
    assert wait(7, timedelta(seconds=1)) >= RETRY_AFTER[-1] * 0.75


def test_only_a_receiver_s_answer_counts_as_a_refusal_of_the_row() -> None:
    for outcome in (DeliveryOutcome.TIMEOUT, DeliveryOutcome.UNREACHABLE, DeliveryOutcome.BLOCKED):
        assert after_failure(Progress(), Answer(outcome, 1.0), rows=1)[0].refused_alone == 0
    refused = Answer(DeliveryOutcome.REFUSED, 1.0, 500)
    assert after_failure(Progress(), refused, rows=1)[0].refused_alone == 1
    assert after_failure(Progress(), refused, rows=2)[0].refused_alone == 0


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (500, {}, 5),
        (404, {}, 5),
        (301, {"location": "http://127.0.0.1/"}, 5),
        (429, {"retry-after": "100"}, 100),
    ],
)
def test_everything_but_2xx_is_a_failure_and_is_tried_again(
    world: World, status: int, headers: dict[str, str], seconds: float
) -> None:
    world.publish(2)
    world.receiver.script = lambda _request: (status, headers)

    world.step()

    row = world.row()
    assert row.failures == 1
    assert seconds * 0.7 <= row.waits <= seconds * 1.26
    assert row.failure == f"status {status}"
    assert len(world.receiver.take()) == 1


def test_410_disables_at_once_and_the_other_endpoints_learn_of_it(world: World) -> None:
    other = world.add()
    foreign = "UPDATE webhook_endpoints SET types = '{webhook.disabled}' WHERE endpoint_id = :id"
    world.harness.execute(foreign, id=other)
    world.publish()
    world.receiver.script = lambda request: (410, {}) if request.ids else OK
    world.settle()

    row = world.row()
    assert (row.state, row.next_run_at) == ("disabled", None)
    assert "410" in row.state_reason
    notice = world.receiver.take()[-1]
    assert notice.body["type"] == "webhook.disabled"
    assert notice.body["data"]["endpoint_id"] == world.endpoint_id
    world.change(*world.publish())
    world.settle()
    assert world.receiver.take() == []


def test_failing_for_an_hour_is_reported_then_daily_and_after_five_days_it_is_disabled(world: World) -> None:
    other = world.add("webhook.failing", "webhook.disabled")
    world.publish()
    world.receiver.script = lambda request: (500, {}) if request.ids else OK
    types: list[str] = []
    hours = 0
    while world.row().state == "enabled":
        world.settle()
        types += [one.body["type"] for one in world.receiver.take() if not one.ids]
        world.pass_time(8 * HOUR)
        hours += 8
        assert hours < 200

    world.settle()
    types += [one.body["type"] for one in world.receiver.take()]
    assert types == ["webhook.failing"] * 5 + ["webhook.disabled"]
    assert hours == 5 * 24 + 8
    assert "5 days" in world.row().state_reason
    assert world.row(other).state == "enabled"


def test_enabled_again_it_goes_on_where_it_stopped_and_nothing_is_lost(world: World) -> None:
    rows = world.publish(2)
    world.receiver.script = lambda _request: (410, {})
    world.settle()
    more = world.publish(2)
    world.receiver.script = lambda _request: OK
    world.receiver.take()

    with world.harness.engine.begin() as connection:
        endpoints.enable(connection, endpoints.find(connection, world.endpoint_id))
    world.settle()

    assert [one for request in world.receiver.take() for one in request.ids] == rows + more


def test_rotation_signs_with_both_secrets_until_the_former_one_is_erased(world: World) -> None:
    former = world.secret.get_secret_value()
    with world.harness.engine.begin() as connection:
        endpoint = endpoints.find(connection, world.endpoint_id)
        rotated = endpoints.rotate(connection, world.context.vault, endpoint, timedelta(hours=24))
    new = rotated.get_secret_value()
    world.publish()
    world.settle()
    (both,) = world.receiver.take()
    assert both.verify(former) == both.verify(new)

    world.pass_time(25 * HOUR)
    world.publish()
    world.settle()
    (only_new,) = world.receiver.take()
    only_new.verify(new)
    assert len(only_new.headers["webhook-signature"].split()) == 1
    assert world.row().sealed_former_secret is None


def test_redelivery_goes_back_and_sends_newest_states_under_new_ids(world: World) -> None:
    rows = world.publish(2)
    world.settle()
    (before,) = world.receiver.take()
    with world.harness.engine.begin() as connection:
        endpoint = endpoints.find(connection, world.endpoint_id)
        (delivery,) = deliveries.list_deliveries(connection, endpoint)
        deliveries.redeliver_from(connection, endpoint, delivery.delivery_id)
    world.settle()

    (again,) = world.receiver.take()
    assert again.ids == before.ids == rows
    assert again.headers["webhook-id"] != before.headers["webhook-id"]


def test_log_holds_each_attempt_and_neither_query_nor_secret(world: World) -> None:
    world.publish()
    world.receiver.script = lambda _request: (503, {})
    world.step()
    world.receiver.script = lambda _request: OK
    world.pass_time(60)
    world.settle()

    with world.harness.engine.begin() as connection:
        endpoint = endpoints.find(connection, world.endpoint_id)
        log = deliveries.list_deliveries(connection, endpoint)
        failed = deliveries.list_deliveries(connection, endpoint, failed=True)
    assert [(one.outcome, one.status, one.attempt, one.rows) for one in log] == [
        ("delivered", 204, 2, 1),
        ("refused", 503, 1, 1),
    ]
    assert failed == log[1:]
    assert "hidden" not in repr(endpoint) + repr(log)


def test_dead_receiver_is_unreachable(world: World) -> None:
    world.publish()
    world.harness.execute("UPDATE webhook_endpoints SET url = 'http://127.0.0.1:9/hooks'")

    world.step()

    assert (world.row().failures, world.row().failure) == (1, "ConnectError")


def test_secret_that_no_key_opens_is_a_failure_of_that_endpoint(world: World) -> None:
    world.publish()
    world.harness.execute("UPDATE webhook_endpoints SET sealed_secret = 'gAAAAAx'")

    world.step()

    assert world.row().failure == "SealError"
    assert isinstance(world.receiver.take(), list)
