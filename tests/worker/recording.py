"""Started rows, their outcomes, and what the fenced transaction leaves of them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.outcome_kinds import OutcomeKind
from shared.vocabulary import Reason, SyncStatus
from tests.harness import Harness
from worker.claims import StartedRow
from worker.outcomes.outcome import Outcome
from worker.readings import Publication
from worker.record import record

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BEFORE = {
    "sync_status": "failed",
    "error_message": "5 attempts did not succeed.",
    "metrics": {"views": 7},
    "warnings": ["old: warning"],
    "last_updated_at": NOW - 8 * HOUR,
    "stale_after": NOW - 2 * HOUR,
    "snapshot_at": NOW - DAY,
    "attempted_at": NOW - HOUR,
    "outcome": "failed",
    "outcome_detail": "Down.",
    "version": 3,
}
STATE = {
    "next_run_at": NOW + HOUR,
    "claim_seq": 4,
    "claimed_at": NOW,
    "attempts": 5,
    "unfinished": 2,
    "missing_since": NOW - DAY,
    "reason": "claimed",
}


def started(harness: Harness, number: int, **state: Any) -> list[StartedRow]:
    """Store so many failed rows of one account that a worker has started, and return them."""
    ids = harness.publications(harness.account("acc_1"), number, **{**STATE, **state})
    columns = ", ".join(f"{name} = :{name}" for name in BEFORE if name != "metrics")
    harness.execute(
        f"UPDATE post_analytics SET metrics = '{{\"views\": 7}}', {columns}",
        **{name: value for name, value in BEFORE.items() if name != "metrics"},
    )
    return [
        StartedRow(
            publication=Publication(one, f"acc_1_{n}", None, None, NOW),
            claim_seq=4,
            attempts=5,
            unfinished=2,
            missing_since=NOW - DAY,
            sync_status=SyncStatus.FAILED,
            metrics={"views": 7},
            warnings=("old: warning",),
            last_updated_at=NOW - 8 * HOUR,
            snapshot_at=NOW - DAY,
        )
        for n, one in enumerate(ids, start=1)
    ]


def recorded(harness: Harness, *outcomes: Outcome, workspace: str = "ws_1") -> tuple[Outcome, ...]:
    with harness.engine.begin() as connection:
        return record(connection, workspace, outcomes)


def analytics(harness: Harness, row: StartedRow) -> dict[str, Any]:
    stored = harness.state(row.publication.id)._mapping
    return {name: stored[name] for name in BEFORE}


def state(harness: Harness, row: StartedRow) -> tuple[Any, ...]:
    stored = harness.state(row.publication.id)
    return (
        stored.next_run_at,
        stored.reason,
        stored.attempts,
        stored.missing_since,
        stored.claimed_at,
        stored.unfinished,
        stored.priority,
        stored.claim_seq,
    )


def paused(row: StartedRow) -> Outcome:
    return Outcome(
        row,
        OutcomeKind.PAUSED,
        Reason.PAUSED,
        NOW + HOUR,
        attempts=4,
        missing_since=NOW - 2 * DAY,
        detail="Limit.",
        warnings=("new: warning",),
    )


def synced(row: StartedRow, **changed: Any) -> Outcome:
    outcome = Outcome(
        row,
        OutcomeKind.SYNCED,
        Reason.STALE,
        NOW + 6 * HOUR,
        attempts=0,
        sync_status=SyncStatus.SYNCED,
        metrics={"views": 8},
        last_updated_at=NOW,
        stale_after=NOW + 6 * HOUR,
        completed=True,
    )
    return replace(outcome, **changed)
