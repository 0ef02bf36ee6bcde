"""Counts how often a predicted error turned out to be at most 5 %, for the promise of each row."""

import threading
import time
from collections import Counter
from collections.abc import Iterable
from typing import Final

import structlog
from sqlalchemy import Engine, text

from shared.database import DATABASE_AWAY
from shared.freshness.promise import judged
from shared.vocabulary import Platform
from worker.outcomes.outcome import Outcome

_WRITTEN_EVERY: Final = 30.0
# Old predictions fade: the posts of an installation change, and so does the rule.
_WRITE: Final = text("""
INSERT INTO growth_predictions AS g (platform, error_bin, refreshes, within)
SELECT * FROM unnest(CAST(:platforms AS text[]), CAST(:bins AS int[]), CAST(:refreshes AS float8[]),
                     CAST(:within AS float8[]))
 ORDER BY 1, 2
ON CONFLICT (platform, error_bin) DO UPDATE
   SET refreshes = (CASE WHEN g.refreshes > 20000 THEN g.refreshes / 2 ELSE g.refreshes END)
                   + excluded.refreshes,
       within = (CASE WHEN g.refreshes > 20000 THEN g.within / 2 ELSE g.within END) + excluded.within
""")
_log = structlog.get_logger(__name__)


class PredictionCounter:
    """The predictions of one worker process, written in batches; a lost batch is harmless. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._refreshes: Counter[tuple[str, int]] = Counter()
        self._within: Counter[tuple[str, int]] = Counter()
        self._written_at = time.monotonic()

    def count(self, engine: Engine, platform: Platform, recorded: Iterable[Outcome]) -> None:
        """Count what these refreshes showed, and write everything now and then."""
        predictions = [judged(one.row.freshness, one.freshness) for one in recorded]
        with self._lock:
            for prediction in predictions:
                if prediction is not None:
                    key = platform.value, prediction[0]
                    self._refreshes[key] += 1
                    self._within[key] += prediction[1]
            if time.monotonic() - self._written_at < _WRITTEN_EVERY:
                return
        self.write(engine)

    def write(self, engine: Engine) -> None:
        """Write what was counted; it is dropped while the database does not answer."""
        with self._lock:
            refreshes, self._refreshes = self._refreshes, Counter()
            within, self._within = self._within, Counter()
            self._written_at = time.monotonic()
        if not refreshes:
            return
        keys = sorted(refreshes)
        bound = {
            "platforms": [platform for platform, _ in keys],
            "bins": [place for _, place in keys],
            "refreshes": [float(refreshes[key]) for key in keys],
            "within": [float(within[key]) for key in keys],
        }
        try:
            with engine.begin() as connection:
                connection.execute(_WRITE, bound)
        except DATABASE_AWAY as error:
            _log.warning("predictions_not_counted", detail=type(error.orig).__name__)
