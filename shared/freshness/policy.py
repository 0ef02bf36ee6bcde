"""The policy in force (``DRAVO_FRESHNESS``): a rule that adapts to each row, or one interval for all."""

import re
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Final

from shared.vocabulary import Platform

ADAPTIVE: Final = "adaptive"
ALLOWED: Final = "must be adaptive, or look like fixed:6h (units s, m, h, d)"
_UNITS = {"s": "seconds", "m": "minutes", "min": "minutes", "h": "hours", "d": "days"}
_SECONDS = {"d": 86_400, "h": 3_600, "min": 60, "s": 1}
LEAST_URGENT: Final = 0.1
"""Part of its interval after which an adaptive row may fill a free slot of a request of its account."""
_TOP_UP_SHARE: Final = 10  # under a fixed interval, a sibling travels along in its last tenth
_ANY: Final = timedelta(days=30)  # the longest interval


@dataclass(frozen=True, slots=True)
class Freshness:
    """A fixed interval after each successful refresh, or the adaptive rule."""

    interval: timedelta | None = None
    """``None``: `shared.freshness.rule` chooses the interval of each row."""

    @classmethod
    def parse(cls, text: str) -> "Freshness":
        """Parse ``adaptive``, ``fixed:6h`` (units s, m, h, d) or the name of a policy.

        Raises `ValueError` with what is allowed.
        """
        if text == ADAPTIVE:
            return cls()
        match = re.fullmatch(r"fixed:(\d{1,6})(s|m|min|h|d)", text)
        if not match or int(match[1]) == 0:
            raise ValueError(ALLOWED)
        return cls(timedelta(**{_UNITS[match[2]]: int(match[1])}))

    @property
    def name(self) -> str:
        """What is stored with each row that was planned by this policy."""
        return ADAPTIVE if self.interval is None else f"fixed:{words(self.interval).replace(' ', '')}"

    def top_up(self, platform: Platform) -> timedelta:
        """Return how long before its due time a row may fill a free slot of a job of its account.

        Under the adaptive rule the most urgent rows do so, whenever they are due (`LEAST_URGENT`). Adaptive
        rows of X wait for their UTC day: a read on the day before would be billed as well.
        """
        if self.interval is None:
            return timedelta() if platform is Platform.X else _ANY
        return self.interval / _TOP_UP_SHARE

    def explain(self) -> str:
        """Return the policy as one sentence."""
        if self.interval is None:
            return "each row is refreshed when its number has probably moved by 5 % before its next reader"
        return f"every row is refreshed {words(self.interval)} after its last successful read"


@cache
def words(interval: timedelta) -> str:
    """Return an interval in the largest unit in which it is whole, ``90 min``."""
    seconds = interval.total_seconds()
    size, unit = next((size, unit) for unit, size in _SECONDS.items() if seconds % size == 0)
    return f"{seconds / size:g} {unit}"
