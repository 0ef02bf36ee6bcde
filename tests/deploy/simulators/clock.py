"""A clock that only the test advances."""

from datetime import UTC, datetime


class Clock:
    """Call it for the instant at which it stands; assign `now` to move it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 4, 15, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the instant at which it stands."""
        return self.now
