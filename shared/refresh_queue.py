"""Interface of the job queue in Redis: actor names, message format, enqueueing, queue depth, live workers.

Redis only signals: when a message is lost, the lease in PostgreSQL ends and the row is due again.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
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
"""Actor of each lane; its queue has the lane's name. Lanes are queues because dramatiq orders only queues."""

RENEW_ACTOR = "renew"
"""Actor in the background queue that renews an account's tokens before they expire."""

NAMESPACE = "dramatiq"
DEAD_FOR = timedelta(hours=1)
"""How long Redis keeps a message that no actor accepted."""

ALIVE_KEY = "dravo:alive"
ALIVE_FOR = timedelta(seconds=15)
"""A worker that has not reported for this long does not count as alive."""


LOW_KEY = "dravo:queue_low"
_LOW_FOR = timedelta(seconds=5)
"""How long a report that nobody reads is kept: the ticks have refilled the queue since."""


@dataclass(frozen=True, slots=True)
class RefreshJob:
    """Claims of one account in one message: ids and fencing tokens, never objects."""

    account_id: str
    claims: tuple[tuple[int, int], ...]
    """``(publication id, claim_seq)``, in ascending order of id."""

    @classmethod
    def parse(cls, account_id: Any, claims: Any) -> "RefreshJob":
        """Parse the job of a message. Raises `ValueError` when the message is malformed."""
        if not isinstance(account_id, str) or not isinstance(claims, list) or not claims:
            raise ValueError("a refresh message holds an account id and a list of claims")
        pairs = []
        for claim in claims:
            if not (isinstance(claim, list) and len(claim) == 2 and all(type(part) is int for part in claim)):
                raise ValueError("a claim is a pair of integers")
            pairs.append((claim[0], claim[1]))
        return cls(account_id, tuple(pairs))


def broker_options() -> dict[str, Any]:
    """Return the options of every broker of this system."""
    return {
        "middleware": [],
        "namespace": NAMESPACE,
        "dead_message_ttl": int(DEAD_FOR.total_seconds() * 1000),
    }


def broker(client: RedisClient) -> RedisBroker:
    """Return a broker without dramatiq's retries, results and time limits: PostgreSQL replaces them."""
    new = RedisBroker(client=client, **broker_options())
    for lane in Lane:
        new.declare_queue(lane.value)
    return new


def enqueue(
    target: dramatiq.Broker,
    lane: Lane,
    jobs: Iterable[RefreshJob],
    traceparent: Callable[[RefreshJob], str | None] = lambda _job: None,
) -> None:
    """Enqueue these jobs. Messages have no age limit: the database decides whether a claim is still valid.

    dramatiq would compare the clocks of two machines. ``traceparent`` returns the trace context of a job.
    """
    for job in jobs:
        context = traceparent(job)
        message: dramatiq.Message[None] = dramatiq.Message(
            queue_name=lane.value,
            actor_name=ACTORS[lane],
            args=(),
            kwargs={
                "account_id": job.account_id,
                "claims": [list(claim) for claim in job.claims],
                **({"traceparent": context} if context else {}),
            },
            options={},
        )
        target.enqueue(message)


def enqueue_renewals(target: dramatiq.Broker, account_ids: Iterable[str]) -> None:
    """Enqueue the renewal of these accounts' tokens; the next tick repeats what Redis loses."""
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
    """Return how many of a worker's threads serve only the interactive lane, by ``INTERACTIVE_SHARE``.

    The number is rounded, at least one of several threads and never all of them; a single thread serves both
    lanes.
    """
    if threads == 1 or not share:
        return 0
    return min(max(1, round(threads * share)), threads - 1)


def depth(client: RedisClient, lane: Lane) -> int:
    """Return how many messages wait in a lane's queue."""
    return int(client.llen(f"{NAMESPACE}:{lane.value}"))


def report_low(client: RedisClient) -> None:
    """Report that a worker has taken the last jobs of the background lane. Reports do not add up."""
    with client.pipeline() as pipeline:
        pipeline.lpush(LOW_KEY, 1)
        pipeline.ltrim(LOW_KEY, 0, 0)
        pipeline.expire(LOW_KEY, _LOW_FOR)
        pipeline.execute()


def wait_until_low(client: RedisClient, seconds: float) -> bool:
    """Wait for such a report and return whether one came; each is received once in the whole fleet."""
    return client.blpop([LOW_KEY], timeout=seconds) is not None


def report_alive(client: RedisClient, worker_id: str, threads: int) -> None:
    """Report that a worker with so many threads is alive."""
    seconds, microseconds = client.time()
    until = seconds + microseconds / 1e6 + ALIVE_FOR.total_seconds()
    with client.pipeline() as pipeline:
        pipeline.zadd(ALIVE_KEY, {f"{worker_id}/{threads}": until})
        pipeline.zremrangebyscore(ALIVE_KEY, 0, seconds)
        pipeline.expire(ALIVE_KEY, int(ALIVE_FOR.total_seconds()) * 4)
        pipeline.execute()


def report_gone(client: RedisClient, worker_id: str, threads: int) -> None:
    """Report that a worker accepts no more jobs."""
    client.zrem(ALIVE_KEY, f"{worker_id}/{threads}")


_LONGEST_COUNT = 6
"""The most digits of a number of threads; longer text is malformed."""


def workers_alive(client: RedisClient) -> dict[str, int]:
    """Return the threads of each worker that is alive."""
    seconds, _ = client.time()
    alive: dict[str, int] = {}
    for member in client.zrangebyscore(ALIVE_KEY, seconds, "+inf"):
        worker_id, _, threads = member.decode("utf-8", "replace").rpartition("/")
        if worker_id and threads.isascii() and threads.isdigit() and len(threads) <= _LONGEST_COUNT:
            alive[worker_id] = int(threads)
        else:
            _log.warning("malformed_worker_in_redis", key=ALIVE_KEY)
    return alive


def report_details(client: RedisClient, worker_id: str, details: Mapping[str, Any]) -> None:
    """Report what operators see of a worker: its version, when it started, and its current jobs."""
    client.set(f"{_DETAILS_KEY}{worker_id}", json.dumps(details), px=ALIVE_FOR)


def worker_details(client: RedisClient, worker_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return what workers have reported of themselves; one of an earlier version has reported nothing."""
    details = {}
    for worker_id, packed in zip(worker_ids, _mget(client, worker_ids), strict=True):
        try:
            parsed = json.loads(packed) if packed is not None else None
        except ValueError:
            _log.warning("malformed_worker_in_redis", key=_DETAILS_KEY)
            continue
        if isinstance(parsed, dict):
            details[worker_id] = parsed
    return details


_DETAILS_KEY = "dravo:worker:"


def _mget(client: RedisClient, worker_ids: Sequence[str]) -> list[bytes | None]:
    return list(client.mget([f"{_DETAILS_KEY}{one}" for one in worker_ids])) if worker_ids else []
