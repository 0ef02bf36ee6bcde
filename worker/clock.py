"""The database's clock, as this process sees it: machines' clocks differ, rows must not."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class DatabaseClock:
    """Database time between queries: the last instant that it told, plus what has passed since.

    ``monotonic`` counts seconds from any origin; tests replace it.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.monotonic = monotonic
        self._told = (datetime.now(UTC), monotonic())

    def set(self, told: datetime) -> None:
        """Take an instant that the database just told."""
        self._told = (told, self.monotonic())

    def now(self) -> datetime:
        """Return the current instant, UTC."""
        told, at = self._told
        return told + timedelta(seconds=self.monotonic() - at)
