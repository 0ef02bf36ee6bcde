"""A clock that sleeping moves."""

import threading
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


class FakeClock:
    """One clock for the budgets, the job and its sleeps: sleeping moves it."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> datetime:
        """Return the instant."""
        return self.at

    def micros(self) -> int:
        """Return it as the budgets count."""
        return int(self.at.timestamp() * 1_000_000)

    def passes(self, seconds: float) -> None:
        """Let time pass."""
        self.at += timedelta(seconds=seconds)


class SharedClock(FakeClock):
    """A clock for threads: when all of them sleep, it moves to the first wake-up."""

    def __init__(self, waiters: int) -> None:
        super().__init__()
        self._awake = waiters
        self._waking: list[datetime] = []
        self._moved = threading.Condition()

    def passes(self, seconds: float) -> None:
        """Wait for the others to sleep as well, until it is time."""
        with self._moved:
            wakes_at = self.at + timedelta(seconds=seconds)
            heappush(self._waking, wakes_at)
            self._rest()
            self._moved.wait_for(lambda: self.at >= wakes_at, timeout=60)

    def leave(self) -> None:
        """End the waiting of all threads."""
        with self._moved:
            self._rest()

    def _rest(self) -> None:
        self._awake -= 1
        if not self._awake and self._waking:
            self.at = self._waking[0]
            while self._waking and self._waking[0] <= self.at:
                heappop(self._waking)
                self._awake += 1
            self._moved.notify_all()
