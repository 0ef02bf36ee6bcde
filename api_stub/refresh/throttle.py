"""How often one caller may force refreshes: a token bucket for each, in this process."""

import time
from collections import OrderedDict
from typing import Final

from api_stub.http.errors import too_many

BURST: Final = 60
PER_SECOND: Final = 1.0
_REMEMBERED: Final = 10_000


class ForcedRefreshes:
    """`BURST` requests with ``refresh=true`` at once and `PER_SECOND` in the long run, for each caller.

    Each process counts for itself: the limit protects the platforms' budgets, which have their own law.
    """

    def __init__(self) -> None:
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def spend(self, subject: str) -> None:
        """Take one. Raises `ApiError` (429) with the wait when there is none."""
        now = time.monotonic()
        full_at = max(self._full_at.pop(subject, now), now) + 1 / PER_SECOND
        wait = full_at - now - BURST / PER_SECOND
        if wait > 0:
            self._full_at[subject] = full_at - 1 / PER_SECOND
            raise too_many("Too many forced refreshes: read without refresh=true, or wait.", wait)
        self._full_at[subject] = full_at
        if len(self._full_at) > _REMEMBERED:
            self._full_at.popitem(last=False)
