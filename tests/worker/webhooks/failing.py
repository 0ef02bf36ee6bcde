"""Deliveries that fail, until something holds."""

from collections.abc import Callable

from tests.worker.webhooks.world import World

HOUR = 3_600.0


def fail_until(world: World, condition: Callable[[], bool], most: int = 30) -> None:
    for _ in range(most):
        if condition():
            return
        world.pass_time(2 * HOUR)
        world.step()
    raise AssertionError("it never came")
