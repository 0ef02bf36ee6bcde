"""The queue's front door: names, message shape, enqueueing by name, depth, and who is alive to take it.

Redis is a doorbell: whatever is lost here, the lease in PostgreSQL ends and the row is due again.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import dramatiq
import structlog
from dramatiq.brokers.redis import RedisBroker

from shared.redis_client import RedisClient
from shared.vocabulary import Lane

_log = structlog.get_logger(__name__)

ACTORS = {Lane.INTERACTIVE: "refresh_now", Lane.BACKGROUND: "refresh"}
"""Actor of each lane; its queue has the lane's name. Own queues, because priority holds only between them."""

RENEW_ACTOR = "renew"
"""Actor that renews an account's tokens ahead of their end, in the background queue."""

NAMESPACE = "dramatiq"
DEAD_FOR = timedelta(hours=1)
"""How long Redis keeps a message that no actor took."""

ALIVE_KEY = "dravo:alive"
ALIVE_FOR = timedelta(seconds=15)
"""A worker that has not said so for that long is not counted as alive."""


@dataclass(frozen=True, slots=True)
class RefreshJob:
    """Claims of one account that travel together: ids and fences, never objects."""

    account_id: str
    claims: tuple[tuple[int, int], ...]
    """``(publication id, claim_seq)``, in ascending order of id."""

    @classmethod
    def parse(cls, account_id: Any, claims: Any) -> "RefreshJob":
        """Return the job of a message. Raises `ValueError` when the message is not of this shape."""
        if not isinstance(account_id, str) or not isinstance(claims, list) or not claims:
            raise ValueError("a refresh message holds an account id and a list of claims")
        pairs = []
        for claim in claims:
            if not (isinstance(claim, list) and len(claim) == 2 and all(type(part) is int for part in claim)):
                raise ValueError("a claim is a pair of integers")
            pairs.append((claim[0], claim[1]))
        return cls(account_id, tuple(pairs))


def broker_options() -> dict[str, Any]:
    """Return what every broker of this system is made with."""
    return {
        "middleware": [],
        "namespace": NAMESPACE,
        "dead_message_ttl": int(DEAD_FOR.total_seconds() * 1000),
    }


def broker(client: RedisClient) -> RedisBroker:
    """Return a broker without dramatiq's retries, results or time limits: PostgreSQL does all that."""
    made = RedisBroker(client=client, **broker_options())
    for lane in Lane:
        made.declare_queue(lane.value)
    return made


def enqueue(
    target: dramatiq.Broker,
    lane: Lane,
    jobs: Iterable[RefreshJob],
    traceparent: Callable[[RefreshJob], str | None] = lambda _job: None,
) -> None:
    """Ring for these jobs. No message has an age limit: whether its claims still hold, the database knows.

    dramatiq would judge the age by two machines' clocks. ``traceparent`` tells on whose trace a job is.
    """
    for job in jobs:
        paper = traceparent(job)
        message: dramatiq.Message[None] = dramatiq.Message(
            queue_name=lane.value,
            actor_name=ACTORS[lane],
            args=(),
            kwargs={
                "account_id": job.account_id,
                "claims": [list(claim) for claim in job.claims],
                **({"traceparent": paper} if paper else {}),
            },
            options={},
        )
        target.enqueue(message)


def enqueue_renewals(target: dramatiq.Broker, account_ids: Iterable[str]) -> None:
    """Ring for the renewal of these accounts' tokens; what is lost, the next tick asks for again."""
    for account_id in account_ids:
        message: dramatiq.Message[None] = dramatiq.Message(
            queue_name=Lane.BACKGROUND.value,
            actor_name=RENEW_ACTOR,
            args=(),
            kwargs={"account_id": account_id},
            options={},
        )
        target.enqueue(message)


def reserved_threads(threads: int, share: float) -> int:
    """Return how many of a worker's threads take people's jobs only; ``share`` is ``INTERACTIVE_SHARE``.

    Rounded to the nearest, but one at least of several threads, and never all; a single thread takes any job.
    """
    if threads == 1 or not share:
        return 0
    return min(max(1, round(threads * share)), threads - 1)


def depth(client: RedisClient, lane: Lane) -> int:
    """Return how many messages wait in a lane's queue."""
    return int(client.llen(f"{NAMESPACE}:{lane.value}"))


def report_alive(client: RedisClient, worker_id: str, threads: int) -> None:
    """Say that a worker with so many threads takes jobs."""
    seconds, microseconds = client.time()
    until = seconds + microseconds / 1e6 + ALIVE_FOR.total_seconds()
    with client.pipeline() as pipeline:
        pipeline.zadd(ALIVE_KEY, {f"{worker_id}/{threads}": until})
        pipeline.zremrangebyscore(ALIVE_KEY, 0, seconds)
        pipeline.expire(ALIVE_KEY, int(ALIVE_FOR.total_seconds()) * 4)
        pipeline.execute()


def report_gone(client: RedisClient, worker_id: str, threads: int) -> None:
    """Say that a worker takes no more jobs."""
    client.zrem(ALIVE_KEY, f"{worker_id}/{threads}")


_LONGEST_COUNT = 6
"""Digits; whatever is longer is no number of threads."""


def workers_alive(client: RedisClient) -> dict[str, int]:
    """Return the threads of each worker that is alive."""
    seconds, _ = client.time()
    alive: dict[str, int] = {}
    for member in client.zrangebyscore(ALIVE_KEY, seconds, "+inf"):
        worker_id, _, threads = member.decode("utf-8", "replace").rpartition("/")
        if worker_id and threads.isascii() and threads.isdigit() and len(threads) < _LONGEST_COUNT:
            alive[worker_id] = int(threads)
        else:
            _log.warning("malformed_worker_in_redis", key=ALIVE_KEY)
    return alive
