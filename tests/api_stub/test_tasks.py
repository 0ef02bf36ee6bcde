"""Background tasks end although a cancellation is lost."""

import asyncio
import contextlib

from api_stub.tasks import cancel_all, keep_running


async def _lose_the_first_cancellation() -> None:
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(3600)
    await asyncio.sleep(3600)


async def _fail() -> None:
    raise OSError


def test_task_that_loses_a_cancellation_is_cancelled_again() -> None:
    async def run() -> list[bool]:
        tasks = [asyncio.create_task(_lose_the_first_cancellation()), asyncio.create_task(_fail())]
        await asyncio.sleep(0)
        await asyncio.wait_for(cancel_all(tasks), timeout=30)
        return [task.done() for task in tasks]

    assert asyncio.run(run()) == [True, True]


def test_task_that_fails_is_started_again() -> None:
    starts = []

    async def fail_twice() -> None:
        starts.append(1)
        if len(starts) < 3:
            raise ValueError

    asyncio.run(asyncio.wait_for(keep_running("tests", fail_twice, again_after=0), timeout=30))

    assert len(starts) == 3
