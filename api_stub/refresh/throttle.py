"""Rate limit of ``refresh=true``: one token bucket for each caller, in this process."""

import time
from collections import OrderedDict
from typing import Final

from api_stub.http.errors import too_many

BURST: Final = 60
PER_SECOND: Final = 1.0
_MAX_CALLERS: Final = 10_000


class ForcedRefreshLimit:
    """`BURST` requests with ``refresh=true`` at once and `PER_SECOND` in the long run, for each caller.

    Each process counts its own requests. The fleet's budgets enforce the platforms' limits.
    """

    def __init__(self) -> None:
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def spend(self, subject: str) -> None:
        """Count one request. Raises `ApiError` (429) with ``Retry-After`` when the bucket is empty."""
        now = time.monotonic()
        full_at = max(self._full_at.pop(subject, now), now) + 1 / PER_SECOND
        wait = full_at - now - BURST / PER_SECOND
        if wait > 0:
            self._full_at[subject] = full_at - 1 / PER_SECOND
            raise too_many("Too many forced refreshes: read without refresh=true, or wait.", wait)
        self._full_at[subject] = full_at
        if len(self._full_at) > _MAX_CALLERS:
            self._full_at.popitem(last=False)
