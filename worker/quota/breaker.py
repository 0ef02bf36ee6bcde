"""The circuit breakers: the fleet makes no calls to an endpoint for a while after consecutive failures.

5xx answers and time-outs count as failures, fleet-wide; any other answer, a refusal included, resets the
count. An open breaker is a pause of kind ``breaker`` in PostgreSQL, so that claims skip it, and a paused
bucket in Redis, so that queued jobs end without a call. After the pause one call of the fleet is the probe
(half open): if it is answered, the breaker closes; if it fails, the breaker opens for twice as long.
"""

from datetime import timedelta
from typing import Final

import redis
import structlog

from shared.redis_client import RedisClient
from shared.vocabulary import Platform

REMEMBERED_FOR: Final = timedelta(minutes=15)
"""How long the counts of failures and openings are kept after the latest one."""

_log = structlog.get_logger(__name__)


class Breakers:
    """The fleet's count of failures in a row, by platform and endpoint class. Thread-safe.

    ``longest``: how long a breaker stays open at most, which bounds how late a recovery is noticed. Without
    Redis nothing is counted, but no jobs are enqueued either.
    """

    def __init__(
        self, client: RedisClient, *, failures: int, open_for: timedelta, longest: timedelta
    ) -> None:
        self._client = client
        self._failures = failures
        self._open_for = open_for
        self._longest = longest

    def failed(self, platform: Platform, endpoint: str) -> timedelta | None:
        """Count a failure; return for how long the breaker opens if this one reaches the threshold."""
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
            # Calls that were under way when the breaker opened fail too, and must not open it again.
            if not self._client.set(f"{key}:open", 1, nx=True, px=open_for):
                return None
            self._client.hincrby(key, "openings", 1)
        except redis.RedisError as error:
            _log.warning("breaker_not_counted", detail=type(error).__name__)
            return None
        return open_for

    def succeeded(self, platform: Platform, endpoint: str) -> None:
        """Reset the counts: the endpoint has answered."""
        try:
            self._client.delete(_key(platform, endpoint))
        except redis.RedisError as error:
            _log.warning("breaker_not_counted", detail=type(error).__name__)


def _key(platform: Platform, endpoint: str) -> str:
    return f"dravo:breaker:{platform.value}:{endpoint}"
