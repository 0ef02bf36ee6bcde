"""Counts how often clients read each row, for the freshness policy: in memory, written in batches.

A count is an estimate of demand, not a bill: what was counted since the last batch is lost with the process,
and rows beyond a bounded number are not counted until the next batch.
"""

from collections import Counter
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
_log = structlog.get_logger(__name__)


class ReadCounter:
    """The reads of this process since the last batch."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reads: Counter[tuple[str, int]] = Counter()

    def count(self, workspace_id: str, publication_ids: Iterable[int]) -> None:
        """Count one read of each of these rows."""
        for publication_id in publication_ids:
            key = workspace_id, publication_id
            if key in self._reads or len(self._reads) < MOST_ROWS:
                self._reads[key] += 1

    async def save(self) -> None:
        """Write the counts. Those that cannot be written are dropped: newer ones matter more."""
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
        except ApiError as error:
            _log.warning("reads_not_counted", rows=len(counted), detail=error.code)
