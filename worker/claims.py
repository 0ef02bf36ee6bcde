"""The start of a refresh: which of a job's claims still hold, and all that is known about their rows.

Starting spends the claim (``claim_seq`` rises once more), so a message that is delivered twice starts once.
Attempts are counted here, before anything can go wrong.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from shared.refresh_queue import RefreshJob
from shared.refresh_state import start as refresh_state
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


def start(connection: Connection, job: RefreshJob, lease: timedelta) -> Started | None:
    """Spend the job's claims and return the rows that are really ours now; ``None`` when none is.

    A claim that was taken over, started before or finished is simply not among them.
    """
    rows = refresh_state.start(connection, job, lease)
    if not rows:
        return None
    return Started(rows[0].at, tuple(_row(row) for row in rows))


def extend(
    connection: Connection, waiting: Collection[StartedRow], read: Collection[StartedRow], lease: timedelta
) -> frozenset[int]:
    """Extend the lease of the rows that wait and lock those that were read; return which are still ours."""
    return refresh_state.extend(connection, _claims(waiting), _claims(read), lease)


def _claims(rows: Collection[StartedRow]) -> list[tuple[int, int]]:
    return [(row.publication.id, row.fence) for row in rows]


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
