"""The sender's own work: what it does at which interval, how many it delivers at once, and how it ends."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from types import SimpleNamespace

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from tests.worker.webhooks.receiver import OK, Request
from tests.worker.webhooks.world import World
from worker.webhooks import claims, sender, upcoming
from worker.webhooks.sender import Sender


class Clock:
    """A monotonic clock that the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []
        moved = SimpleNamespace(monotonic=lambda: self.now, sleep=self.slept.append)
        monkeypatch.setattr(sender, "time", moved)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def count(world: World, rest: str) -> int:
    return int(world.harness.execute(f"SELECT count(*) FROM {rest}")[0][0])


def fill_old_rows(world: World) -> None:
    """Store rows on both sides of every bound of the cleaning."""
    execute, bound = world.harness.execute, {"id": world.endpoint_id}
    for seconds in (50, 70):
        execute(
            "INSERT INTO webhook_senders VALUES (:id, now() - CAST(:age AS interval))",
            id=f"other_{seconds}",
            age=timedelta(seconds=seconds),
        )
    for days in (6, 8):
        at = "now() - CAST(:age AS interval)"
        execute(
            "INSERT INTO webhook_deliveries (endpoint_id, workspace_id, delivered_at, type, message_id, rows,"
            f" attempt, outcome, seconds) VALUES (:id, 'ws_1', {at}, 't', 'm', 1, 1, 'delivered', 1)",
            **bound,
            age=timedelta(days=days),
        )
        execute(
            "INSERT INTO webhook_notices (endpoint_id, workspace_id, type, body, created_at)"
            f" VALUES (:id, 'ws_1', 'webhook.failing', '{{}}', {at})",
            **bound,
            age=timedelta(days=days),
        )
    for name, until in (("over", "now() - interval '1 second'"), ("holds", "now() + interval '1 hour'")):
        execute(
            "INSERT INTO webhook_endpoints (endpoint_id, workspace_id, url, host, sealed_secret, state,"
            " sealed_former_secret, former_secret_until)"
            f" VALUES ('{name}', 'ws_5', '', '', '', 'disabled', 'former', {until})"
        )


def test_each_duty_has_its_interval(world: World, clock: Clock) -> None:
    running = Sender(world.context, "me", 4)
    fill_old_rows(world)
    world.harness.execute("UPDATE webhook_endpoints SET state = 'disabled'")  # its notices wait
    seen = "SELECT seen_at FROM webhook_senders WHERE sender_id = 'me'"

    running.step()

    others = "webhook_senders WHERE sender_id <> 'me'"
    assert count(world, f"{others} AND sender_id = 'other_50'") == count(world, others) == 1
    assert count(world, "webhook_deliveries WHERE delivered_at > now() - interval '7 days'") == 1
    assert count(world, "webhook_deliveries") == count(world, "webhook_notices") == 1
    former = world.harness.execute(
        "SELECT endpoint_id FROM webhook_endpoints WHERE sealed_former_secret IS NOT NULL"
    )
    assert [one for (one,) in former] == ["holds"]
    assert count(world, "webhook_endpoints WHERE former_secret_until IS NOT NULL") == 1
    world.harness.execute("UPDATE webhook_senders SET seen_at = now() - interval '2 minutes'")
    old = world.harness.execute(seen)

    clock.now += 0.4
    running.step()
    assert world.harness.execute(seen) == old
    clock.now += 4.5
    running.step()
    assert world.harness.execute(seen) == old
    clock.now += 0.1
    running.step()
    assert world.harness.execute(seen) > old, "it says every 5 seconds that it is alive"
    assert count(world, others) == 1, "it cleans every 10 minutes"
    clock.now += 594.9
    running.step()
    assert count(world, others) == 1
    clock.now += 0.1
    running.step()
    assert count(world, others) == 0
    running.close()


def test_probe_rests_ten_times_its_duration(
    world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    probes: list[timedelta] = []

    def slow(_connection: object, every: timedelta) -> int:
        probes.append(every)
        clock.now += 0.2
        return 0

    monkeypatch.setattr(claims, "probe", slow)
    running = Sender(world.context, "me", 1)
    for _ in range(25):
        running.step()
        clock.now += 0.1
    running.close()

    assert probes[0] == timedelta(milliseconds=500)
    assert len(probes) == 2
    assert probes[1] == pytest.approx(timedelta(seconds=2), abs=timedelta(milliseconds=1))


class Holding:
    """A receiver's script that keeps the first request until it is released."""

    def __init__(self) -> None:
        self.begun, self.released = threading.Event(), threading.Event()

    def __call__(self, _request: Request) -> tuple[int, dict[str, str]]:
        """Answer when it is released."""
        self.begun.set()
        self.released.wait(30)
        return OK


def test_sender_claims_more_as_places_come_back(world: World) -> None:
    world.publish()
    other = world.add(beginning=True)
    world.receiver.script = holding = Holding()
    world.harness.execute("UPDATE webhook_endpoints SET next_run_at = now()")
    running = Sender(world.context, "me", 1)
    running.step()
    assert holding.begun.wait(30)
    running.step()
    assert count(world, "webhook_endpoints WHERE claim_seq > 0") == 1, "there is one place"

    holding.released.set()
    for _ in range(60):
        running.wait()
        running.step()
        if world.row().delivered_at and world.row(other).delivered_at:
            break
    running.close()

    assert count(world, "webhook_endpoints WHERE delivered_at IS NULL") == 0
    assert count(world, "webhook_senders") == 0


def test_sender_that_stops_ends_what_it_sends_and_gives_back_what_it_did_not_start(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_thread = partial(ThreadPoolExecutor, 1)
    monkeypatch.setattr(sender, "ThreadPoolExecutor", lambda _places, **names: one_thread(**names))
    world.publish()
    for _ in range(2):
        world.add(beginning=True)
    world.receiver.script = holding = Holding()
    world.harness.execute("UPDATE webhook_endpoints SET next_run_at = now()")
    running = Sender(world.context, "me", 3)
    running.step()
    assert holding.begun.wait(30)
    threading.Timer(0.1, holding.released.set).start()

    running.close()

    assert count(world, "webhook_endpoints WHERE claim_seq > 0") == 3
    assert count(world, "webhook_endpoints WHERE delivered_at IS NOT NULL") == 1
    assert count(world, "webhook_endpoints WHERE delivered_at IS NULL AND next_run_at <= now()") == 2


def test_error_of_a_delivery_is_logged_and_gives_its_place_back(
    world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    del clock

    def fail(*_: object) -> bool:
        raise LookupError("secret text")

    monkeypatch.setattr(sender, "deliver", fail)
    world.harness.execute("UPDATE webhook_endpoints SET next_run_at = now()")
    running = Sender(world.context, "me", 1)

    with capture_logs() as logs:
        running.step()
        running.wait()
        running.close()

    failed = [one for one in logs if one["event"] == "delivery_failed"]
    assert [(one["endpoint_id"], one["error"]) for one in failed] == [(world.endpoint_id, "LookupError")]
    assert "secret text" not in str(logs)
    assert running._places.free == 1
    assert world.row().waits > 0, "its lease ends by itself"


def test_ended_deliveries_are_gathered_for_one_claim(
    world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "PROBE_EVERY", timedelta(milliseconds=1))
    running = Sender(world.context, "me", 1)
    running.wait()
    assert clock.slept == [], "no delivery has ended"
    world.publish()
    world.harness.execute("UPDATE webhook_endpoints SET next_run_at = now()")
    running.step()
    running.close()

    running.wait()

    assert clock.slept == [0.02]


def test_lag_counts_from_the_oldest_change_to_the_answer(world: World) -> None:
    world.publish(2)
    world.harness.execute("UPDATE changes SET changed_at = now() - publication_id * interval '100 seconds'")
    before = REGISTRY.get_sample_value("dravo_webhook_lag_seconds_sum") or 0.0

    assert world.step()

    after = REGISTRY.get_sample_value("dravo_webhook_lag_seconds_sum") or 0.0
    assert 200 <= after - before < 260


def test_changes_that_nobody_wants_move_the_position(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upcoming, "_PAGE", 1)
    world.harness.execute("UPDATE webhook_endpoints SET types = '{analytics.deleted}'")
    world.publish(2)

    world.step()
    assert world.row().waits <= 0, "the feed has more"
    world.settle()

    (newest,) = world.harness.execute(
        "SELECT changed_in, publication_id FROM changes ORDER BY changed_in DESC, publication_id DESC LIMIT 1"
    )
    row = world.row()
    assert (row.changed_in, row.changed_key, row.next_run_at) == (*newest, None)
    assert world.receiver.take() == []


def test_purged_refused_row_is_forgotten_and_the_feed_goes_on(world: World) -> None:
    world.harness.execute(
        "INSERT INTO webhook_refused_rows (endpoint_id, workspace_id, subject, next_try_at)"
        " VALUES (:id, 'ws_1', '999', now()), (:id, 'ws_1', '998', now() + interval '1 hour')",
        id=world.endpoint_id,
    )
    rows = world.publish()

    world.settle()

    assert world.harness.execute("SELECT subject FROM webhook_refused_rows") == [("998",)]
    assert [one.ids for one in world.receiver.take()] == [rows]
