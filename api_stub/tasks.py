"""Background tasks: one that fails is started again, and all are cancelled and awaited at the end."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final

import structlog

_AGAIN_AFTER: Final = 5.0  # seconds
_ROUND_SECONDS: Final = 0.1
_ROUNDS: Final = 100
_log = structlog.get_logger(__name__)


async def keep_running(
    name: str, task: Callable[[], Awaitable[None]], again_after: float = _AGAIN_AFTER
) -> None:
    """Run a task until it returns or is cancelled; after an error it is logged, and started again.

    ``again_after``: seconds from the error to the start.
    """
    while True:
        try:
            await task()
        except Exception:  # noqa: BLE001 - nobody awaits the task: it would be missing until the process ends
            _log.exception("task_failed", task=name)
            await asyncio.sleep(again_after)
        else:
            return


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
