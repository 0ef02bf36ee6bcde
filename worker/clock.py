"""The database's clock between queries: rows hold its instants, because machines' clocks differ."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class DatabaseClock:
    """The last instant that the database returned, plus the time since then.

    ``monotonic`` counts seconds from any origin.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.monotonic = monotonic
        self._reference = (datetime.now(UTC), monotonic())

    def set(self, instant: datetime, asked_at: float) -> None:
        """Set the instant of a query that was sent when ``monotonic`` was ``asked_at``.

        Not when it was answered: a query that waited for a lock would set back the clock of all threads.
        """
        self._reference = (instant, asked_at)

    def now(self) -> datetime:
        """Return the current instant, UTC."""
        instant, measured_at = self._reference
        return instant + timedelta(seconds=self.monotonic() - measured_at)
