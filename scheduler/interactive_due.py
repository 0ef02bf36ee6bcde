"""Decides when the database is queried for interactive work: at notifications, at timers, every 5 s."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final

ASK_AFTER: Final = timedelta(seconds=5)
"""How long a notification that is lost can delay interactive work."""


class InteractiveDue:
    """Whether rows of the interactive lane may be due, as far as this scheduler knows. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._notifications = 0
        self._answered = -1
        self._ask_at = 0.0

    def notified(self) -> None:
        """Rows became due."""
        self._notifications += 1

    def may_be_due(self) -> bool:
        """Return whether the database has to be asked."""
        return self._notifications != self._answered or self._clock() >= self._ask_at

    def asking(self) -> int:
        """Return what `none_due` needs about the notifications that came before the question."""
        return self._notifications

    def none_due(self, notifications: int, next_timer: timedelta | None) -> None:
        """Nothing was due when the database was asked. ``next_timer``: when the next row is due."""
        wait = ASK_AFTER if next_timer is None else min(ASK_AFTER, next_timer)
        self._answered, self._ask_at = notifications, self._clock() + wait.total_seconds()
