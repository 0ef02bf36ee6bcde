"""Refills the queue when a worker has taken its last jobs, between the runs of the clock.

A queue that is filled at intervals alone would often be empty: a worker's threads finish small jobs within
milliseconds. A worker that finds the queue empty reports it in Redis (`shared.refresh_queue.report_low`), and
one of the schedulers reacts. A lost signal costs nothing but the time until the next tick.
"""

import threading
from collections.abc import Callable
from typing import Final

import redis
import structlog

from shared import refresh_queue
from shared.redis_client import RedisClient

WAIT_SECONDS: Final = 1.0
"""How long one wait for a signal lasts: a stopping scheduler ends within it."""
_log = structlog.get_logger(__name__)


def refill(client: RedisClient, hand_out: Callable[[], object], stopping: threading.Event) -> None:
    """Call ``hand_out`` whenever a worker reports that the queue is low, until ``stopping``."""
    while not stopping.is_set():
        try:
            low = refresh_queue.wait_until_low(client, WAIT_SECONDS)
        except redis.RedisError as error:
            _log.warning("redis_unreachable", detail=type(error).__name__)
            stopping.wait(WAIT_SECONDS)
            continue
        if low and not stopping.is_set():
            try:
                hand_out()
            except Exception:  # noqa: BLE001 - without this thread, a queue that is empty waits for the clock
                _log.exception("refill_failed")
                stopping.wait(WAIT_SECONDS)
