"""Counts how often clients read each row, for the freshness policy: in memory, written in batches.

A count is an estimate of demand, not a bill: what was counted since the last batch is lost with the process,
and rows beyond a bounded number are not counted until the next batch.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

import structlog

from api_stub.http.database import Database
from api_stub.http.errors import ApiError

SAVED_EVERY: Final = timedelta(seconds=15)
"""How often the counts are written."""
MOST_ROWS: Final = 100_000
"""Rows that are counted between two batches: the bound of the memory."""
_AT_ONCE: Final = 5_000

_SAVE: Final = """
INSERT INTO read_counts AS c (publication_id, reads)
SELECT p.id, r.reads
  FROM unnest(CAST(%(workspaces)s AS text[]), CAST(%(ids)s AS bigint[]), CAST(%(reads)s AS bigint[]))
       AS r (workspace_id, id, reads)
  JOIN publications p ON p.id = r.id AND p.workspace_id = r.workspace_id
 ORDER BY p.id
ON CONFLICT (publication_id) DO UPDATE SET reads = c.reads + excluded.reads
RETURNING 1
"""
_SAVE_ACCURACY: Final = """
INSERT INTO read_accuracy AS a (workspace_id, platform, hour, reads, within)
SELECT workspace_id, platform, date_trunc('hour', now()), reads, within
  FROM unnest(CAST(%(workspaces)s AS text[]), CAST(%(platforms)s AS text[]), CAST(%(reads)s AS bigint[]),
              CAST(%(within)s AS float8[])) AS r (workspace_id, platform, reads, within)
 ORDER BY 1, 2
ON CONFLICT (workspace_id, platform, hour) DO UPDATE
   SET reads = a.reads + excluded.reads, within = a.within + excluded.within
RETURNING 1
"""
_log = structlog.get_logger(__name__)


class ReadCounter:
    """The reads of this process since the last batch."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reads: Counter[tuple[str, int]] = Counter()
        self._promised: Counter[tuple[str, str]] = Counter()
        self._within: dict[tuple[str, str], float] = defaultdict(float)

    def count_promise(self, workspace_id: str, platform: str, within: float) -> None:
        """Count one read of a row that promised to be within 5 % of the truth with this probability."""
        self._promised[workspace_id, platform] += 1
        self._within[workspace_id, platform] += within

    def count(self, workspace_id: str, publication_ids: Iterable[int]) -> None:
        """Count one read of each of these rows."""
        for publication_id in publication_ids:
            key = workspace_id, publication_id
            if key in self._reads or len(self._reads) < MOST_ROWS:
                self._reads[key] += 1

    async def save(self) -> list[tuple[str, int]]:
        """Write the counts and return the rows that were read, each with its workspace.

        Counts that cannot be written are dropped: newer ones matter more.
        """
        counted, self._reads = sorted(self._reads.items(), key=lambda one: one[0][1]), Counter()
        try:
            for first in range(0, len(counted), _AT_ONCE):
                batch = counted[first : first + _AT_ONCE]
                bound = {
                    "workspaces": [workspace_id for (workspace_id, _), _ in batch],
                    "ids": [publication_id for (_, publication_id), _ in batch],
                    "reads": [reads for _, reads in batch],
                }
                await self._database.fetch(_SAVE, bound)
            await self._save_accuracy()
        except ApiError as error:
            _log.warning("reads_not_counted", rows=len(counted), detail=error.code)
            return []
        return [row for row, _ in counted]

    async def _save_accuracy(self) -> None:
        promised, self._promised = self._promised, Counter()
        within, self._within = self._within, defaultdict(float)
        keys = sorted(promised)
        if not keys:
            return
        bound = {
            "workspaces": [workspace_id for workspace_id, _ in keys],
            "platforms": [platform for _, platform in keys],
            "reads": [promised[key] for key in keys],
            "within": [float(within[key]) for key in keys],
        }
        await self._database.fetch(_SAVE_ACCURACY, bound)
