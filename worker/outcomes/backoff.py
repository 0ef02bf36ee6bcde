"""The back-off between attempts that did not succeed."""

import random
from datetime import timedelta
from typing import Final

ATTEMPTS_UNTIL_FAILED: Final = 5
"""Attempts in a row after which a row's status becomes ``failed``; it is retried at a slower pace."""
LONGEST_WAIT: Final = timedelta(hours=6)
_SLOWER_PACE: Final = 240  # times the first wait: 15 s become an hour


def backoff(attempts: int, first: timedelta) -> timedelta:
    """Return the wait after so many attempts in a row.

    It doubles with each attempt, is longer once the row has failed, and has a jitter of a fifth.
    """
    if attempts >= ATTEMPTS_UNTIL_FAILED:
        doublings = min(attempts - ATTEMPTS_UNTIL_FAILED, 6)
        base = first * (_SLOWER_PACE << doublings)
    else:
        base = first * (1 << max(attempts - 1, 0))
    return min(base, max(LONGEST_WAIT, first)) * random.uniform(0.8, 1.2)  # noqa: S311 - jitter needs no secrecy
