"""The freshness policy: when a refreshed row is due again, and a sentence that explains it."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SECONDS = {"d": 86_400, "h": 3_600, "min": 60, "s": 1}


@dataclass(frozen=True, slots=True)
class Freshness:
    """A fixed interval after each successful refresh."""

    interval: timedelta

    @classmethod
    def parse(cls, text: str) -> "Freshness":
        """Parse ``fixed:6h`` (units s, m, h, d). Raises `ValueError` with what is allowed."""
        match = re.fullmatch(r"fixed:(\d{1,6})([smhd])", text)
        if not match or int(match[1]) == 0:
            raise ValueError("must look like fixed:6h (units s, m, h, d)")
        return cls(timedelta(**{_UNITS[match[2]]: int(match[1])}))

    def stale_after(self, last_updated_at: datetime) -> datetime:
        """Return the instant after which a row with metrics of ``last_updated_at`` is due again."""
        return last_updated_at + self.interval

    def explain(self) -> str:
        """Return the rule as one sentence."""
        seconds = self.interval.total_seconds()
        size, unit = next((size, unit) for unit, size in _SECONDS.items() if seconds % size == 0)
        return f"every row is refreshed {seconds / size:g} {unit} after its last successful read"
