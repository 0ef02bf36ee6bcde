"""What rows promise their readers: the expected error, and the probability that it is at most 5 %."""

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import structlog

from api_stub.http.database import Database
from api_stub.http.errors import ApiError
from shared.analytics_row import AnalyticsRow
from shared.freshness.promise import Observed, Shares, promised

LOADED_EVERY: Final = timedelta(minutes=1)
_LOAD: Final = "SELECT platform, error_bin, refreshes, within FROM growth_predictions"
_log = structlog.get_logger(__name__)


class Promise(NamedTuple):
    """What a row promises a reader."""

    expected_error: float
    """``|true - served| / (true + 20)``, from 0 to 1."""
    within_5_percent: float
    """The probability that the error is at most 5 %."""


class Promises:
    """Computes promises by what the installation's own refreshes have shown."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._shares: dict[str, Shares] = {}

    async def load(self) -> None:
        """Load what refreshes have shown so far; without it, the simulation's figures stand."""
        try:
            rows = await self._database.fetch(_LOAD)
        except ApiError as error:
            _log.warning("predictions_not_loaded", detail=error.code)
            return
        shares: dict[str, dict[int, Observed]] = defaultdict(dict)
        for platform, error_class, reads, within in rows:
            shares[platform][error_class] = Observed(reads, within)
        self._shares = dict(shares)

    def of(self, row: AnalyticsRow, now: datetime) -> Promise | None:
        """Return a row's promise to a reader of ``now``; ``None`` when the row was never measured."""
        shares = self._shares.get(row.platform, {})
        promise = promised(row.freshness, row.published_at or row.created_at, now, shares)
        return Promise(*promise) if promise else None
