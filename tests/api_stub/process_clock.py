"""The clock of a process, set by the test."""


class ProcessClock:
    """Stands in for ``time.monotonic``."""

    now = 1_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now
