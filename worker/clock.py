"""The database's clock, as this process sees it: machines' clocks differ, rows must not."""

import time
from datetime import UTC, datetime, timedelta


class DatabaseClock:
    """Database time between queries: the last instant that it told, plus what has passed since."""

    def __init__(self) -> None:
        self._told = (datetime.now(UTC), time.monotonic())

    def set(self, told: datetime) -> None:
        """Take an instant that the database just told."""
        self._told = (told, time.monotonic())

    def now(self) -> datetime:
        """Return the current instant, UTC."""
        told, at = self._told
        return told + timedelta(seconds=time.monotonic() - at)
