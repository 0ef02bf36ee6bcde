"""Ends background tasks: cancels them, and waits until they have ended."""

import asyncio
from collections.abc import Collection
from typing import Any, Final

import structlog

_ROUND_SECONDS: Final = 0.1
_ROUNDS: Final = 100
_log = structlog.get_logger(__name__)


async def cancel_all(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until they have ended, for 10 seconds at most.

    ``asyncio.wait_for`` of Python 3.11 loses a cancellation that comes together with its result, and the
    connection pool uses it: the task would go on. So the cancellation is repeated.
    https://github.com/python/cpython/issues/86296
    """
    running = set(tasks)
    for _ in range(_ROUNDS):
        if not running:
            break
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=_ROUND_SECONDS)
    if running:
        _log.warning("tasks_not_ended", tasks=len(running))
    await asyncio.gather(*(task for task in tasks if task.done()), return_exceptions=True)
