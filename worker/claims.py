"""The start of a refresh: which of a job's claims still hold, and all that is known about their rows.

Starting spends the claim (``claim_seq`` rises once more), so a message that is delivered twice starts once.
Attempts are counted here, before anything can go wrong.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from shared.refresh_queue import RefreshJob
from shared.vocabulary import SyncStatus
from worker.readings import Publication


@dataclass(frozen=True, slots=True)
class StartedRow:
    """One publication in this worker's hands, with what was known of it before."""

    publication: Publication
    fence: int
    """``claim_seq`` that must still stand when the outcome is written."""
    attempts: int
    """Starts in a row without a completed sync, this one included."""
    unfinished: int
    """Starts in a row that recorded nothing, this one included."""
    missing_since: datetime | None
    sync_status: SyncStatus
    metrics: Mapping[str, Any]
    warnings: tuple[str, ...]
    last_updated_at: datetime | None
    snapshot_at: datetime | None
    priority: int = 0
    """Above 0: someone waits for it or asked for it."""


@dataclass(frozen=True, slots=True)
class Started:
    """What `start` found."""

    at: datetime
    """Database time."""
    rows: tuple[StartedRow, ...]


_START = text("""
WITH mine AS (
    SELECT s.publication_id
      FROM unnest(CAST(:ids AS bigint[]), CAST(:seqs AS bigint[])) AS c (id, seq)
      JOIN refresh_state s ON s.publication_id = c.id AND s.claim_seq = c.seq
     WHERE s.account_id = :account_id AND s.claimed_at IS NOT NULL
     ORDER BY s.publication_id FOR UPDATE OF s
), started AS (
    UPDATE refresh_state AS r
       SET claim_seq = r.claim_seq + 1, attempts = LEAST(r.attempts + 1, 30000),
           unfinished = LEAST(r.unfinished + 1, 30000), next_run_at = now() + make_interval(secs => :lease)
      FROM mine WHERE r.publication_id = mine.publication_id
    RETURNING r.*
)
SELECT now() AS at, s.publication_id, s.claim_seq, s.attempts, s.unfinished, s.missing_since,
       s.priority, p.platform_post_id, p.publish_id, p.media_type,
       COALESCE(p.published_at, p.created_at) AS created_at,
       a.sync_status, a.metrics, a.warnings, a.last_updated_at, a.snapshot_at
  FROM started s
  JOIN publications p ON p.id = s.publication_id
  JOIN post_analytics a ON a.publication_id = s.publication_id
 ORDER BY s.publication_id
""")


def start(connection: Connection, job: RefreshJob, lease: timedelta) -> Started | None:
    """Spend the job's claims and return the rows that are really ours now; ``None`` when none is.

    A claim that was taken over, started before or finished is simply not among them.
    """
    rows = connection.execute(
        _START,
        {
            "account_id": job.account_id,
            "ids": [publication_id for publication_id, _ in job.claims],
            "seqs": [claim_seq for _, claim_seq in job.claims],
            "lease": lease.total_seconds(),
        },
    ).all()
    if not rows:
        return None
    return Started(rows[0].at, tuple(_row(row) for row in rows))


# Locks in one order whatever is written afterwards: statements over the same rows must not deadlock.
_EXTEND = text("""
WITH mine AS (
    SELECT s.publication_id, c.waits
      FROM unnest(CAST(:ids AS bigint[]), CAST(:fences AS bigint[]), CAST(:waits AS bool[]))
           AS c (id, fence, waits)
      JOIN refresh_state s ON s.publication_id = c.id AND s.claim_seq = c.fence
     WHERE s.claimed_at IS NOT NULL
     ORDER BY s.publication_id FOR UPDATE OF s
), extended AS (
    UPDATE refresh_state AS r SET next_run_at = now() + make_interval(secs => :lease)
      FROM mine WHERE r.publication_id = mine.publication_id AND mine.waits
)
SELECT publication_id FROM mine
""")


def extend(
    connection: Connection, waiting: Collection[StartedRow], read: Collection[StartedRow], lease: timedelta
) -> frozenset[int]:
    """Extend the lease of the rows that wait and lock those that were read; return which are still ours."""
    rows = [(row, True) for row in waiting] + [(row, False) for row in read]
    held = connection.execute(
        _EXTEND,
        {
            "ids": [row.publication.id for row, _ in rows],
            "fences": [row.fence for row, _ in rows],
            "waits": [waits for _, waits in rows],
            "lease": lease.total_seconds(),
        },
    )
    return frozenset(held.scalars())


def _row(row: Any) -> StartedRow:
    return StartedRow(
        publication=Publication(
            id=row.publication_id,
            platform_post_id=row.platform_post_id,
            publish_id=row.publish_id,
            media_type=row.media_type,
            created_at=row.created_at,
        ),
        fence=row.claim_seq,
        attempts=row.attempts,
        unfinished=row.unfinished,
        missing_since=row.missing_since,
        sync_status=SyncStatus(row.sync_status),
        metrics=row.metrics,
        warnings=tuple(row.warnings),
        last_updated_at=row.last_updated_at,
        snapshot_at=row.snapshot_at,
        priority=row.priority,
    )
