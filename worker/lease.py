"""The lease of a running job: extended between its calls, so only a job that progresses keeps it.

No thread extends it in the background, so a worker that is frozen or hangs in one call loses its rows. A call
is bounded to half a lease (`worker.http.client.Bounds`) and begins before half of the lease has passed. Each
extension records the readings so far; when calls are slow, they are recorded between any two calls.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from shared.database import DATABASE_AWAY
from worker.errors import TryAgain

_EXTEND_AFTER: Final = 1 / 3  # of the lease
_RECORD_AFTER: Final = 2.0  # seconds, if there are readings to record
_GIVE_UP_AFTER: Final = 1 / 2  # of the lease: a call that begins later may end after it
_log = structlog.get_logger(__name__)


class Lease:
    """The instants at which a job's lease was extended last and is due to be extended again.

    ``extend`` extends it in the database and records the readings so far, if ``has_readings``. It raises
    `worker.errors.ClaimsLost` when no row is left.
    ``began`` is the instant of ``monotonic`` before the claims were started, so this lease never ends later
    than the one in the database.
    """

    def __init__(
        self,
        length: timedelta,
        extend: Callable[[], None],
        has_readings: Callable[[], bool],
        monotonic: Callable[[], float],
        began: float,
    ) -> None:
        self._seconds = length.total_seconds()
        self._extend = extend
        self._has_readings = has_readings
        self._monotonic = monotonic
        self._extended = began

    def keep(self) -> None:
        """Extend the lease if enough of it has passed; used before each call.

        While the database is away, the extension is tried again before the next call. Raises
        `worker.errors.TryAgain` when the lease could expire during the next call.
        """
        began = self._monotonic()
        passed = began - self._extended
        after = self._seconds * _EXTEND_AFTER
        if self._has_readings():
            after = min(after, _RECORD_AFTER)
        if passed < after:
            return
        try:
            self._extend()
        except (*DATABASE_AWAY, PoolTimeoutError) as error:
            _log.warning("lease_not_extended", detail=type(error).__name__)
            if passed > self._seconds * _GIVE_UP_AFTER:
                raise TryAgain("The database did not answer while the job was under way.") from error
        else:
            self._extended = began
