"""No malformed message stops a consumer or affects another message."""

import json
import threading
from collections.abc import Iterator

import dramatiq
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker

from shared import refresh_queue
from shared.redis_client import RedisClient, connect
from shared.refresh_queue import NAMESPACE, RefreshJob, enqueue
from shared.vocabulary import Lane
from worker.queue import actors
from worker.queue import consumer as consumers
from worker.queue.consumer import consuming_broker

JOB = RefreshJob("acc_1", ((1, 1), (2, 7)))
TIMEOUT = 10.0


@pytest.fixture
def consumer(redis_url: str) -> Iterator[tuple[RedisBroker, list[RefreshJob], threading.Semaphore]]:
    """Run a worker that collects its jobs."""
    own = connect(redis_url)
    broker = consuming_broker(own)
    jobs: list[RefreshJob] = []
    arrived = threading.Semaphore(0)

    def collect(job: RefreshJob, _lane: Lane) -> None:
        jobs.append(job)
        arrived.release()

    actors.register(broker, collect, lambda _account_id: None)
    worker = dramatiq.Worker(broker, worker_threads=2, worker_timeout=20)
    worker.start()
    yield broker, jobs, arrived
    worker.stop()
    own.close()


def plant(client: RedisClient, key: str, data: bytes) -> None:
    """Enqueue raw bytes as a dramatiq message."""
    client.hset(f"{NAMESPACE}:background.msgs", key, data)
    client.rpush(f"{NAMESPACE}:background", key)


def message(**changes: object) -> bytes:
    fields = {
        "queue_name": "background",
        "actor_name": "refresh",
        "args": [],
        "kwargs": {"account_id": "acc_1", "claims": [[1, 1]]},
        "options": {"redis_message_id": "planted"},
        "message_id": "planted",
        "message_timestamp": 1_900_000_000_000,
    }
    return json.dumps({**fields, **changes}).encode()


MALICIOUS = {
    "empty": b"",
    "no json": b"\x00\xff not json",
    "truncated": message()[:40],
    "no object": b"[1, 2]",
    "nested": b'{"args":' + b"[" * 5000,
    "other queue": message(queue_name="elsewhere"),
    "no redis id": message(options={}),
    "delayed": message(options={"redis_message_id": "planted", "eta": 1}),
    "hostile option": message(options={"redis_message_id": "planted", "throws": "abc"}),
    "age": message(options={"redis_message_id": "planted", "max_age": 1}),
    "positional": message(args=[1]),
    "no dict": message(kwargs=[1]),
    "id is a list": message(message_id=[1]),
    "actor is a list": message(actor_name=["refresh"]),
    "no instant": message(message_timestamp="now"),
}


@pytest.mark.parametrize("data", MALICIOUS.values(), ids=MALICIOUS.keys())
def test_foreign_message_is_removed_from_redis_alone(
    client: RedisClient,
    consumer: tuple[RedisBroker, list[RefreshJob], threading.Semaphore],
    data: bytes,
) -> None:
    broker, jobs, arrived = consumer
    plant(client, "planted", data)
    enqueue(broker, Lane.BACKGROUND, [JOB])

    assert arrived.acquire(timeout=TIMEOUT)
    assert jobs == [JOB]
    assert client.hexists(f"{NAMESPACE}:background.msgs", "planted") is False


def test_foreign_message_costs_none_of_the_jobs_that_are_fetched_with_it(
    client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(_client: RedisClient) -> None:
        raise redis.ConnectionError

    monkeypatch.setattr(consumers, "report_low", lost)
    broker = consuming_broker(client)
    plant(client, "planted", b"no json")
    enqueue(broker, Lane.BACKGROUND, [JOB, JOB])

    jobs = broker.do_fetch(Lane.BACKGROUND.value, 9)

    assert [json.loads(job)["kwargs"]["account_id"] for job in jobs] == ["acc_1", "acc_1"]
    assert client.hlen(f"{NAMESPACE}:background.msgs") == 2, "they are kept until they have run"


@pytest.mark.parametrize(
    "planted",
    [
        message(actor_name="nobody"),
        message(kwargs={"account_id": 5, "claims": "x"}),
        message(kwargs={"claims": [[True, 1]], "account_id": "a"}),
        message(kwargs={"unknown": 1}),
    ],
    ids=["unknown actor", "wrong types", "booleans", "unknown argument"],
)
def test_message_that_is_no_refresh_job_is_dropped(
    client: RedisClient,
    consumer: tuple[RedisBroker, list[RefreshJob], threading.Semaphore],
    planted: bytes,
) -> None:
    broker, jobs, arrived = consumer
    plant(client, "planted", planted)
    enqueue(broker, Lane.BACKGROUND, [JOB])

    assert arrived.acquire(timeout=TIMEOUT)
    assert jobs == [JOB]


def test_interactive_jobs_use_their_own_queue(
    client: RedisClient, consumer: tuple[RedisBroker, list[RefreshJob], threading.Semaphore]
) -> None:
    broker, jobs, arrived = consumer
    enqueue(broker, Lane.INTERACTIVE, [JOB])

    assert arrived.acquire(timeout=TIMEOUT)
    assert jobs == [JOB]
    assert refresh_queue.depth(client, Lane.INTERACTIVE) == 0


def test_malformed_member_in_redis_is_no_worker_and_hides_none(client: RedisClient) -> None:
    refresh_queue.report_alive(client, "host:1", 8)
    for member in (
        b"\xff\xfe",
        "host:2",
        "host:3/",
        "host:4/many",
        "/4",
        "host:5/-1",
        "host:6/" + "9" * 99,
        "host:7/\N{ARABIC-INDIC DIGIT FOUR}",
    ):
        client.zadd(refresh_queue.ALIVE_KEY, {member: float("inf")})

    assert refresh_queue.workers_alive(client) == {"host:1": 8}


def test_worker_is_alive_until_it_reports_its_end(client: RedisClient) -> None:
    refresh_queue.report_alive(client, "host:1", 8)
    refresh_queue.report_alive(client, "host:2", 4)
    assert refresh_queue.workers_alive(client) == {"host:1": 8, "host:2": 4}

    refresh_queue.report_gone(client, "host:1", 8)
    assert refresh_queue.workers_alive(client) == {"host:2": 4}
