"""Waiting for a condition, never for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")
_POLL_SECONDS = 0.02


def until(condition: Callable[[], Result], within: float, what: str) -> Result:
    """Return the condition's value once it is true. Raises `AssertionError` after ``within`` seconds."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {within:g} s")
        time.sleep(_POLL_SECONDS)
    return value


def lasts(seconds: float) -> None:
    """Let a fault last: the one place where time itself is what is wanted."""
    time.sleep(seconds)
