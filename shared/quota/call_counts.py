"""How many calls the fleet made for each bucket, counted for the hourly quota pressure.

Each process counts in memory and adds its counts to one hash in Redis every few seconds; a scheduler takes
the hash once an hour. A lost count only makes the pressure a little too low for an hour.
"""

import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

import redis
import structlog

from shared.quota.limits import Bucket
from shared.redis_client import RedisClient
from shared.vocabulary import BucketKind, Platform

KEY: Final = "dravo:calls"
_SENT_EVERY: Final = 5.0
_KEPT: Final = timedelta(hours=1)
_log = structlog.get_logger(__name__)


class CallCounter:
    """The calls of one process. Thread-safe; without a client it counts nothing."""

    def __init__(self, client: RedisClient | None = None) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._calls: Counter[Bucket] = Counter()
        self._sent_at = time.monotonic()

    def count(self, buckets: Iterable[Bucket], calls: int) -> None:
        """Count calls in each of these buckets."""
        if self._client is None:
            return
        with self._lock:
            for bucket in buckets:
                self._calls[bucket] += calls
            if time.monotonic() - self._sent_at < _SENT_EVERY:
                return
        self.send()

    def send(self) -> None:
        """Add what was counted to the fleet's counts; it is dropped while Redis does not answer."""
        with self._lock:
            calls, self._calls = self._calls, Counter()
            self._sent_at = time.monotonic()
        if not calls or self._client is None:
            return
        try:
            with self._client.pipeline(transaction=False) as pipeline:
                for bucket, number in calls.items():
                    pipeline.hincrby(
                        KEY, f"{bucket.platform.value}|{bucket.kind.value}|{bucket.subject}", number
                    )
                pipeline.execute()
        except redis.RedisError as error:
            _log.warning("calls_not_counted", detail=type(error).__name__)


def take(client: RedisClient) -> dict[Bucket, int]:
    """Return the fleet's counts since they were last emptied, and begin anew. Raises `redis.RedisError`.

    Of several schedulers that take at once, one gets the counts and the others nothing.
    """
    emptied = f"{KEY}:{uuid.uuid4().hex}"
    try:
        client.rename(KEY, emptied)
    except redis.ResponseError:
        return {}  # nothing was counted
    client.expire(emptied, _KEPT)
    calls: dict[Bucket, int] = {}
    for name, number in client.hscan_iter(emptied, count=1000):
        platform, kind, subject = name.decode().split("|", 2)
        calls[Bucket(Platform(platform), BucketKind(kind), subject)] = int(number)
    client.delete(emptied)
    return calls
