"""The queue is refilled when a worker has emptied it, without waiting for the clock."""

import threading
from typing import Any

import dramatiq
import pytest

from scheduler import refill as module
from scheduler.refill import refill
from shared import refresh_queue
from shared.redis_client import RedisClient, connect
from shared.refresh_queue import LOW_KEY, RefreshJob
from shared.vocabulary import Lane
from worker.queue import actors
from worker.queue.consumer import consuming_broker


def jobs(number: int) -> list[RefreshJob]:
    return [RefreshJob(f"acc_{one}", ((one, 1),)) for one in range(1, number + 1)]


def fetched(broker: dramatiq.Broker, count: int, lane: Lane = Lane.BACKGROUND) -> int:
    return len(broker.do_fetch(lane.value, count))  # type: ignore[attr-defined] # RedisBroker's own


def test_worker_that_takes_the_last_jobs_reports_once(client: RedisClient) -> None:
    broker = consuming_broker(client)
    actors.register(broker, lambda _job, _lane: None, lambda _account_id: None)
    assert fetched(broker, 4) == 0
    assert not client.exists(LOW_KEY), "an idle fleet reports nothing"

    refresh_queue.enqueue(broker, Lane.BACKGROUND, jobs(3))
    assert fetched(broker, 2) == 2
    assert not client.exists(LOW_KEY)
    assert fetched(broker, 2) == 1
    assert client.lpop(LOW_KEY) == b"1"
    assert fetched(broker, 2) == 0
    assert not client.exists(LOW_KEY), "it was reported before"


def test_worker_that_finds_nothing_after_a_full_fetch_reports(client: RedisClient) -> None:
    broker = consuming_broker(client)
    refresh_queue.enqueue(broker, Lane.BACKGROUND, jobs(2))

    assert [fetched(broker, 2), fetched(broker, 2)] == [2, 0]
    assert client.llen(LOW_KEY) == 1


def test_interactive_lane_reports_nothing(client: RedisClient) -> None:
    broker = consuming_broker(client)
    refresh_queue.enqueue(broker, Lane.INTERACTIVE, jobs(1))

    assert fetched(broker, 2, Lane.INTERACTIVE) == 1
    assert not client.exists(LOW_KEY)


def test_reports_do_not_add_up_and_expire(client: RedisClient) -> None:
    for _ in range(3):
        refresh_queue.report_low(client)

    assert client.llen(LOW_KEY) == 1
    assert 0 < client.ttl(LOW_KEY) <= 5


def test_scheduler_hands_out_at_each_report(redis_url: str, client: RedisClient) -> None:
    stopping, runs = threading.Event(), threading.Semaphore(0)
    own = connect(redis_url)
    thread = threading.Thread(target=refill, args=(own, runs.release, stopping))
    thread.start()
    for _ in range(2):
        refresh_queue.report_low(client)
        assert runs.acquire(timeout=10)
    stopping.set()
    refresh_queue.report_low(client)  # ends the wait
    thread.join(timeout=10)
    own.close()

    assert not thread.is_alive()
    assert not runs.acquire(blocking=False)


def test_nothing_is_handed_out_without_a_report(monkeypatch: pytest.MonkeyPatch) -> None:
    stopping, runs = threading.Event(), list[None]()
    reports = iter((False, True))

    def wait_until_low(_client: object, _seconds: float) -> bool:
        low = next(reports)
        if low:
            stopping.set()
        return low

    monkeypatch.setattr(refresh_queue, "wait_until_low", wait_until_low)
    nobody: Any = None
    refill(nobody, lambda: runs.append(None), stopping)

    assert runs == []


def test_unreachable_redis_is_tried_again(client: RedisClient) -> None:
    stopping, waits = threading.Event(), []

    class Stopping(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout)
            self.set()
            return True

    stopping = Stopping()
    refill(connect("redis://127.0.0.1:1/0"), lambda: None, stopping)

    assert waits == [module.WAIT_SECONDS]
    del client


def test_failed_handing_out_does_not_end_the_refills(
    redis_url: str, client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.05)
    stopping, runs = threading.Event(), threading.Semaphore(0)
    errors = [ValueError, LookupError]

    def hand_out() -> None:
        runs.release()
        raise errors.pop()

    own = connect(redis_url)
    thread = threading.Thread(target=refill, args=(own, hand_out, stopping))
    thread.start()
    for _ in range(2):
        refresh_queue.report_low(client)
        assert runs.acquire(timeout=30)
    stopping.set()
    refresh_queue.report_low(client)
    thread.join(timeout=30)
    own.close()

    assert not thread.is_alive()
