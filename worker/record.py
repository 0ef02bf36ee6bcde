"""The recording of outcomes: one transaction that writes a row only while its claim stands."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb
from sqlalchemy import Connection, text

from shared.driver.lists import text_array
from shared.driver.statement import Statement
from shared.ingestion.learned_ids import store_ids
from shared.refresh_state.finish import NextRun, finish, lock_claims
from shared.refresh_state.notifications import notify_refreshed
from worker.outcomes.outcome import Outcome
from worker.outcomes.stopped import duplicate

_RECORD = Statement("""
WITH outcomes AS MATERIALIZED (
    SELECT * FROM unnest(
        CAST(:ids AS bigint[]), CAST(:claim_seqs AS bigint[]), CAST(:statuses AS text[]),
        CAST(:errors AS text[]), CAST(:metrics AS jsonb[]), CAST(:warnings AS text[]),
        CAST(:last_updated_ats AS timestamptz[]), CAST(:stale_afters AS timestamptz[]),
        CAST(:snapshot_ats AS timestamptz[]), CAST(:stopped AS bool[]), CAST(:outcomes AS text[]),
        CAST(:details AS text[]), CAST(:freshness AS jsonb[])
    ) AS o (id, claim_seq, sync_status, error_message, metrics, warnings, last_updated_at, stale_after,
            snapshot_at, stopped, outcome, detail, freshness)
), new_snapshots AS (
    INSERT INTO snapshots
           (publication_id, taken_at, last_seen_at, claim_seq, sync_status, metrics, freshness)
    SELECT id, snapshot_at, snapshot_at, claim_seq, sync_status, metrics, freshness
      FROM outcomes WHERE snapshot_at IS NOT NULL
)
UPDATE post_analytics AS a
   SET sync_status = COALESCE(o.sync_status, a.sync_status),
       error_message = CASE WHEN o.sync_status IS NULL THEN a.error_message ELSE o.error_message END,
       metrics = COALESCE(o.metrics, a.metrics),
       warnings = CAST(o.warnings AS text[]),
       -- also when the clock of the database was set back
       last_updated_at = GREATEST(o.last_updated_at, a.last_updated_at),
       stale_after = CASE WHEN o.stopped THEN NULL ELSE COALESCE(o.stale_after, a.stale_after) END,
       freshness = COALESCE(o.freshness, a.freshness),
       snapshot_at = COALESCE(o.snapshot_at, a.snapshot_at),
       -- later than each request that saw the row claimed: `finish` has locked the rows before
       attempted_at = statement_timestamp(),
       outcome = o.outcome, outcome_detail = o.detail, version = o.claim_seq
  FROM outcomes o
 WHERE a.publication_id = o.id
""")
"""Writes the analytics rows and the new snapshots: ``snapshot_ats`` is set where a reading needs one."""

_EXTEND_SNAPSHOTS = text("""
UPDATE snapshots AS s
   SET last_seen_at = o.seen_at, reads = s.reads + 1, freshness = COALESCE(o.freshness, s.freshness)
  FROM unnest(CAST(:ids AS bigint[]), CAST(:taken_ats AS timestamptz[]), CAST(:seen_ats AS timestamptz[]),
              CAST(:freshness AS jsonb[])) AS o (id, taken_at, seen_at, freshness)
 WHERE s.publication_id = o.id AND s.taken_at = o.taken_at
RETURNING s.publication_id
""")


def record(connection: Connection, workspace_id: str, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
    """Write the outcomes of rows whose claim still stands, and return them; other outcomes write nothing.

    The caller commits the transaction.
    """
    outcomes = sorted(outcomes, key=lambda outcome: outcome.row.publication.id)
    if not outcomes:
        return ()
    outcomes = _store_new_ids(connection, workspace_id, outcomes)
    priorities = finish(connection, [_next_run(outcome) for outcome in outcomes])
    recorded = tuple(outcome for outcome in outcomes if outcome.row.publication.id in priorities)
    if not recorded:
        return ()
    extended = _extend(connection, [one for one in recorded if one.completed and _unchanged(one)])
    appended = [one for one in recorded if one.completed and one.row.publication.id not in extended]
    _RECORD.run(connection, _parameters(recorded, appended))
    requested = [publication_id for publication_id, priority in priorities.items() if priority]
    notify_refreshed(connection, requested)
    return recorded


def _extend(connection: Connection, unchanged: Sequence[Outcome]) -> set[int]:
    """Extend the newest snapshots of these readings; return the publications whose snapshot exists."""
    if not unchanged:
        return set()
    bound = {
        "ids": _ids(unchanged),
        "taken_ats": [outcome.row.snapshot_at for outcome in unchanged],
        "seen_ats": [outcome.last_updated_at for outcome in unchanged],
        "freshness": _plans(unchanged),
    }
    return set(connection.execute(_EXTEND_SNAPSHOTS, bound).scalars())


def _unchanged(outcome: Outcome) -> bool:
    """Return whether the reading equals the newest snapshot and belongs to the same month's partition."""
    before, now = outcome.row.snapshot_at, outcome.last_updated_at
    return (
        before is not None
        and now is not None
        and _month(before) == _month(now)
        and dict(outcome.row.metrics) == dict(outcome.metrics or {})
        and outcome.row.sync_status == outcome.sync_status
    )


def _month(instant: datetime) -> tuple[int, int]:
    return instant.year, instant.month


def _ids(outcomes: Sequence[Outcome]) -> list[int]:
    return [outcome.row.publication.id for outcome in outcomes]


def _plans(outcomes: Sequence[Outcome]) -> list[Jsonb | None]:
    return [None if outcome.freshness is None else Jsonb(outcome.freshness) for outcome in outcomes]


def _next_run(outcome: Outcome) -> NextRun:
    return NextRun(
        publication_id=outcome.row.publication.id,
        claim_seq=outcome.row.claim_seq,
        next_run_at=outcome.next_run_at,
        reason=outcome.reason,
        attempts=outcome.attempts,
        missing_since=outcome.missing_since,
    )


def _parameters(outcomes: Sequence[Outcome], appended: Sequence[Outcome]) -> dict[str, list[Any]]:
    new_snapshot = set(_ids(appended))
    return {
        "ids": _ids(outcomes),
        "claim_seqs": [outcome.row.claim_seq for outcome in outcomes],
        "statuses": [outcome.sync_status.value if outcome.sync_status else None for outcome in outcomes],
        "errors": [outcome.error_message for outcome in outcomes],
        "metrics": [
            None if outcome.metrics is None else Jsonb(dict(outcome.metrics)) for outcome in outcomes
        ],
        "warnings": [text_array(outcome.warnings) for outcome in outcomes],
        "last_updated_ats": [outcome.last_updated_at for outcome in outcomes],
        "stale_afters": [outcome.stale_after for outcome in outcomes],
        "snapshot_ats": [
            outcome.last_updated_at if outcome.row.publication.id in new_snapshot else None
            for outcome in outcomes
        ],
        "stopped": [outcome.next_run_at is None for outcome in outcomes],
        "outcomes": [outcome.outcome.value for outcome in outcomes],
        "details": [outcome.detail for outcome in outcomes],
        "freshness": _plans(outcomes),
    }


def _store_new_ids(
    connection: Connection, workspace_id: str, outcomes: Sequence[Outcome]
) -> Sequence[Outcome]:
    """Store the ids that readings brought; an id that another publication has makes its row a duplicate.

    Of two rows here with one new id, the older one gets it.
    """
    learned = {
        outcome.row.publication.id: outcome.platform_post_id
        for outcome in outcomes
        if outcome.platform_post_id and outcome.platform_post_id != outcome.row.publication.platform_post_id
    }
    if not learned:
        return outcomes
    # All rows are locked, in the order in which they are written: another order could deadlock.
    owned = lock_claims(connection, [(one.row.publication.id, one.row.claim_seq) for one in outcomes])
    claimed = {publication_id: learned[publication_id] for publication_id in learned.keys() & owned}
    duplicates = claimed.keys() - store_ids(connection, workspace_id, claimed)
    return [
        duplicate(outcome.row, learned[outcome.row.publication.id])
        if outcome.row.publication.id in duplicates
        else outcome
        for outcome in outcomes
    ]
