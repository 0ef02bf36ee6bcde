"""Counts the reads whose error was predicted, and those that were within 5 %, for the promise of each row."""

import random
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import structlog
from sqlalchemy import Engine, text

from shared.database import DATABASE_AWAY
from shared.freshness.promise import judged
from shared.vocabulary import Platform
from worker.outcomes.outcome import Outcome

_WRITTEN_EVERY: Final = 30.0
_ROWS_OF_A_JOB: Final = 10  # a sample is enough, and judging every row would be work on the hot path
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
        self._reads: dict[tuple[str, int], float] = defaultdict(float)
        self._within: dict[tuple[str, int], float] = defaultdict(float)
        self._written_at = time.monotonic()

    def count(self, engine: Engine, platform: Platform, recorded: Iterable[Outcome]) -> None:
        """Count what these refreshes showed, and write everything now and then."""
        rows = list(recorded)
        sample = random.sample(rows, min(_ROWS_OF_A_JOB, len(rows)))
        predictions = [one for row in sample for one in judged(row.row.freshness, row.freshness)]
        with self._lock:
            for error_class, reads, within in predictions:
                self._reads[platform.value, error_class] += reads
                self._within[platform.value, error_class] += within
            if time.monotonic() - self._written_at < _WRITTEN_EVERY:
                return
        self.write(engine)

    def write(self, engine: Engine) -> None:
        """Write what was counted; it is dropped while the database does not answer."""
        with self._lock:
            reads, self._reads = self._reads, defaultdict(float)
            within, self._within = self._within, defaultdict(float)
            self._written_at = time.monotonic()
        if not reads:
            return
        keys = sorted(reads)
        bound = {
            "platforms": [platform for platform, _ in keys],
            "bins": [place for _, place in keys],
            "refreshes": [reads[key] for key in keys],
            "within": [within[key] for key in keys],
        }
        try:
            with engine.begin() as connection:
                connection.execute(_WRITE, bound)
        except DATABASE_AWAY as error:
            _log.warning("predictions_not_counted", detail=type(error.orig).__name__)
