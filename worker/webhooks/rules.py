"""What an answer means for an endpoint: its next run, the size of its next delivery, rows that it refuses."""

import random
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Final

MOST_ROWS: Final = 50
"""The most changes of one delivery."""
RETRY_AFTER: Final = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(minutes=30),
    timedelta(hours=1),
)
"""Waits after the first failure, the second one and so on; the last one repeats."""
JITTER: Final = 0.25
LONGEST_RETRY_AFTER: Final = timedelta(hours=1)
"""How far a receiver's own ``Retry-After`` is obeyed."""
RETRY_REFUSED_AFTER: Final = (timedelta(hours=1), timedelta(hours=6), timedelta(hours=24))
"""When a row that was set aside is tried alone; after that it is listed as refused."""
MOST_REFUSED: Final = 100
"""The most rows of an endpoint that are set aside."""
REFUSED_ALONE: Final = 3
"""Refusals of a row alone after which its successor is tried."""
SLOW_AFTER: Final = timedelta(seconds=2)


class DeliveryOutcome(StrEnum):
    """How an attempt ended."""

    DELIVERED = "delivered"
    REFUSED = "refused"
    """An answer that is no 2xx."""
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    """No connection, no TLS, or no HTTP."""
    BLOCKED = "blocked"
    """The host has an address that is not public; nothing was sent."""
    GONE = "gone"
    """410: the receiver wants no more."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of one attempt; it holds nothing of the receiver's body."""

    outcome: DeliveryOutcome
    seconds: float
    status: int | None = None
    failure: str | None = None
    """The kind of error, when no answer came."""
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How an endpoint fares: consecutive failures, and what its next delivery may hold."""

    failures: int = 0
    rows_allowed: int = MOST_ROWS
    """1 after a failure (a probe), doubled by each success."""
    most_rows: int = MOST_ROWS
    """Halved by each 413."""
    refused_alone: int = 0
    """Consecutive refusals of the row at the endpoint's position, alone."""

    @property
    def rows(self) -> int:
        """The most changes of the next delivery."""
        return 1 if self.tries_successor else min(self.rows_allowed, self.most_rows)

    @property
    def tries_successor(self) -> bool:
        """Whether the next delivery is the row after the refused one, to see which of both is at fault."""
        return self.refused_alone >= REFUSED_ALONE and (self.refused_alone - REFUSED_ALONE) % 2 == 0


def after_success(before: Progress) -> Progress:
    """Return an endpoint's progress after a 2xx."""
    allowed = min(MOST_ROWS, before.rows_allowed * 2)
    return replace(before, failures=0, rows_allowed=allowed, refused_alone=0)


def after_failure(before: Progress, answer: Answer, rows: int) -> tuple[Progress, timedelta]:
    """Return an endpoint's progress after anything else, and the wait until its next attempt.

    ``rows``: the changes that were refused; 0 for a message of another kind.
    """
    if answer.status == 413 and rows > 1:
        return replace(before, most_rows=rows // 2, rows_allowed=rows // 2), timedelta(seconds=1)
    failures = before.failures + 1
    alone = rows == 1 and answer.outcome is DeliveryOutcome.REFUSED
    progress = replace(
        before,
        failures=failures,
        rows_allowed=1,
        refused_alone=before.refused_alone + 1 if alone else before.refused_alone,
    )
    return progress, wait(failures, answer.retry_after)


def wait(failures: int, requested: timedelta | None) -> timedelta:
    """Return the wait after this many consecutive failures, with jitter against retries in lockstep."""
    usual = RETRY_AFTER[min(failures, len(RETRY_AFTER)) - 1]
    usual *= random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret depends on it
    return usual if requested is None else max(usual, min(requested, LONGEST_RETRY_AFTER))
