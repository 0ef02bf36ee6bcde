"""The start of a refresh: the claims of a job that still stand, and the stored values of their rows.

Starting a claim increments ``claim_seq``, so a message that is delivered twice starts its rows once. Attempts
are counted at the start, so a job that kills its worker is counted too.
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
    """One publication that this worker refreshes, with the values stored before."""

    publication: Publication
    claim_seq: int
    """Must still stand when the outcome is written."""
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
    freshness: Mapping[str, Any] | None = None
    """What the last plan left (`shared.freshness.plan.Plan.stored`)."""
    reads: int = 0
    """How often clients have read the row."""
    priority: int = 0
    """Above 0: somebody requested this refresh."""


@dataclass(frozen=True, slots=True)
class Started:
    """The rows that `start` started."""

    at: datetime
    """Database time."""
    rows: tuple[StartedRow, ...]
    leased_until: datetime
    """The end of their lease, database time."""


def start(connection: Connection, job: RefreshJob, lease: timedelta) -> Started | None:
    """Start the job's claims and return their rows; ``None`` when no claim stands.

    A claim that another worker has taken over, that was started before, or that has finished is left out.
    """
    rows = refresh_state.start(connection, job, lease)
    if not rows:
        return None
    leased_until = min(row.leased_until for row in rows)
    return Started(rows[0].at, tuple(_row(row) for row in rows), leased_until)


def extend(
    connection: Connection, waiting: Collection[StartedRow], fetched: Collection[StartedRow], lease: timedelta
) -> frozenset[int]:
    """Extend the lease of waiting rows, lock the fetched ones, and return those whose claim still stands."""
    return refresh_state.extend(connection, _claims(waiting), _claims(fetched), lease)


def _claims(rows: Collection[StartedRow]) -> list[tuple[int, int]]:
    return [(row.publication.id, row.claim_seq) for row in rows]


def _row(row: Any) -> StartedRow:
    return StartedRow(
        publication=Publication(
            id=row.publication_id,
            platform_post_id=row.platform_post_id,
            publish_id=row.publish_id,
            media_type=row.media_type,
            created_at=row.created_at,
        ),
        claim_seq=row.claim_seq,
        attempts=row.attempts,
        unfinished=row.unfinished,
        missing_since=row.missing_since,
        sync_status=SyncStatus(row.sync_status),
        metrics=row.metrics,
        warnings=tuple(row.warnings),
        last_updated_at=row.last_updated_at,
        snapshot_at=row.snapshot_at,
        freshness=row.freshness,
        reads=row.reads,
        priority=row.priority,
    )
