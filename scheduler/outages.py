"""Outages of the stores while a tick runs: the tick ends with a log line, and runs again at its next time."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis
import structlog

from shared import database

_log = structlog.get_logger(__name__)


@contextmanager
def outages_logged() -> Iterator[None]:
    """End a tick that meets an outage with a log line."""
    try:
        yield
    except redis.RedisError as error:
        _log.warning("redis_unreachable", detail=type(error).__name__)
    except database.DATABASE_AWAY as error:
        _log.warning("database_unreachable", detail=type(error.orig).__name__)
