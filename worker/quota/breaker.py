"""The circuit breaker: a platform's endpoint that only fails is left alone for a while, by the whole fleet.

5xx answers and time-outs count, in a row and fleet-wide; any other answer, a refusal included, shows that the
endpoint lives. Open, it is a pause of kind ``breaker`` in PostgreSQL, so that claims skip it, and a parked
bucket in Redis, so that jobs already queued end without a call. When that is over one call of the fleet goes
first (half open): answered, the breaker is closed; failed, it opens again for twice as long.
"""

from datetime import timedelta
from typing import Final

import redis
import structlog

from shared.redis_client import RedisClient
from shared.vocabulary import Platform

REMEMBERED_FOR: Final = timedelta(minutes=15)
"""How long failures and openings count without a new one."""

_log = structlog.get_logger(__name__)


class Breakers:
    """The fleet's count of failures in a row, by platform and endpoint class. Thread-safe.

    ``longest``: how long it stays open at most, however often it opened in a row: what a platform's recovery
    waits for. Without Redis nothing is counted: then nothing is handed out either.
    """

    def __init__(
        self, client: RedisClient, *, failures: int, open_for: timedelta, longest: timedelta
    ) -> None:
        self._client = client
        self._failures = failures
        self._open_for = open_for
        self._longest = longest

    def failed(self, platform: Platform, endpoint: str) -> timedelta | None:
        """Count a failure; return for how long the breaker opens if this is one too many."""
        key = _key(platform, endpoint)
        try:
            with self._client.pipeline() as pipeline:
                pipeline.hincrby(key, "failures", 1)
                pipeline.hget(key, "openings")
                pipeline.expire(key, REMEMBERED_FOR)
                failures, openings, _ = pipeline.execute()
            if failures < self._failures:
                return None
            doublings = min(int(openings or 0), 10)
            open_for: timedelta = min(self._open_for * 2**doublings, self._longest)
            # Calls that were under way when it opened fail too: they open nothing.
            if not self._client.set(f"{key}:open", 1, nx=True, px=open_for):
                return None
            self._client.hincrby(key, "openings", 1)
        except redis.RedisError as error:
            _log.warning("breaker_not_counted", detail=type(error).__name__)
            return None
        return open_for

    def succeeded(self, platform: Platform, endpoint: str) -> None:
        """Forget the failures: the endpoint answers."""
        try:
            self._client.delete(_key(platform, endpoint))
        except redis.RedisError as error:
            _log.warning("breaker_not_counted", detail=type(error).__name__)


def _key(platform: Platform, endpoint: str) -> str:
    return f"dravo:breaker:{platform.value}:{endpoint}"
