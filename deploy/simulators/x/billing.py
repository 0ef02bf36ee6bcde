"""The billing of the simulated X.

https://docs.x.com/x-api/getting-started/pricing and x-api/fundamentals/post-cap: a price per post read, each
post once a UTC day; failed requests are free; the reads of a month have a cap.
"""

import threading
from collections.abc import Iterable
from datetime import date

DOLLARS_PER_READ = 0.005


class Billing:
    """Counts the app's post reads: each post once a UTC day. A month is a calendar month in UTC."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read: dict[date, set[str]] = {}

    def charge(self, day: date, post_ids: Iterable[str]) -> None:
        """Count the posts of one successful answer."""
        with self._lock:
            self._read.setdefault(day, set()).update(post_ids)

    def reads(self, day: date | None = None) -> int:
        """Return the billed reads of one UTC day, or of all."""
        with self._lock:
            return sum(len(posts) for on, posts in self._read.items() if day in (None, on))

    def month(self, day: date) -> int:
        """Return the billed reads of the month that `day` is in."""
        with self._lock:
            return sum(
                len(posts) for on, posts in self._read.items() if on.replace(day=1) == day.replace(day=1)
            )

    def clear(self) -> None:
        """Delete every read."""
        with self._lock:
            self._read.clear()
