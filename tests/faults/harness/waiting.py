"""Waiting for a condition, and the one function that lets time pass."""

import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")
_POLL_SECONDS = 0.05


def wait_until(condition: Callable[[], Result], within: float, what: str) -> Result:
    """Return the condition's value once it is true. Raises `AssertionError` after ``within`` seconds."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {within:g} s")
        time.sleep(_POLL_SECONDS)
    return value


def sleep_for(seconds: float) -> None:
    """Let time pass, for a fault that must last."""
    time.sleep(seconds)
