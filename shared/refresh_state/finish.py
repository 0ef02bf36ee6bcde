"""Transition ``finish``: a started row gets its next run, or ends, if its ``claim_seq`` still holds.

``claim_seq`` is the fencing token: a caller writes a refresh's other results only for the rows that `finish`
returns, in the same transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

from shared.driver.statement import Statement
from shared.refresh_state.start import IS_OPEN, Claim
from shared.vocabulary import Reason

_FINISH: Final = Statement(f"""
WITH next AS (
    SELECT * FROM unnest(
        CAST(:ids AS bigint[]), CAST(:seqs AS bigint[]), CAST(:next_run_ats AS timestamptz[]),
        CAST(:reasons AS text[]), CAST(:attempts AS int[]), CAST(:missing_sinces AS timestamptz[])
    ) AS o (id, seq, next_run_at, reason, attempts, missing_since)
), mine AS (
    SELECT s.publication_id, s.priority
      FROM refresh_state s
      -- an open claim too: a commit whose answer was lost must not be made again
      JOIN next o ON o.id = s.publication_id AND o.seq = s.claim_seq AND {IS_OPEN}
     ORDER BY s.publication_id FOR UPDATE OF s
)
UPDATE refresh_state AS r
   SET next_run_at = o.next_run_at, reason = o.reason, attempts = o.attempts, missing_since = o.missing_since,
       claimed_at = NULL, unfinished = 0,
       -- a row that somebody waits for stays in the interactive lane over a pause or a retry
       priority = CASE WHEN o.reason IN ('paused', 'retry') THEN r.priority ELSE 0 END
  FROM mine JOIN next o ON o.id = mine.publication_id
 WHERE r.publication_id = mine.publication_id
RETURNING r.publication_id, mine.priority
""")

_LOCK_CLAIMS: Final = text(f"""
SELECT s.publication_id
  FROM unnest(CAST(:ids AS bigint[]), CAST(:seqs AS bigint[])) AS o (id, seq)
  JOIN refresh_state s ON s.publication_id = o.id AND s.claim_seq = o.seq AND {IS_OPEN}
 ORDER BY s.publication_id FOR UPDATE OF s
""")


@dataclass(frozen=True, slots=True)
class NextRun:
    """What a refresh leaves behind for one row."""

    publication_id: int
    claim_seq: int
    """The fencing token: `start` returned it."""
    next_run_at: datetime | None
    """``None``: polling ends."""
    reason: Reason
    attempts: int
    missing_since: datetime | None


def finish(connection: Connection, rows: Sequence[NextRun]) -> Mapping[int, int]:
    """Store these rows' next runs; return the priority that each had, by publication id.

    A row whose claim no longer holds is not written and not returned.
    """
    written = _FINISH.all(
        connection,
        {
            "ids": [row.publication_id for row in rows],
            "seqs": [row.claim_seq for row in rows],
            "next_run_ats": [row.next_run_at for row in rows],
            "reasons": [row.reason.value for row in rows],
            "attempts": [max(row.attempts, 0) for row in rows],
            "missing_sinces": [row.missing_since for row in rows],
        },
    )
    return {row.publication_id: row.priority for row in written}


def lock_claims(connection: Connection, claims: Sequence[Claim]) -> frozenset[int]:
    """Lock the rows of these claims until the transaction ends; return which of them still hold."""
    ids, seqs = [claim[0] for claim in claims], [claim[1] for claim in claims]
    return frozenset(connection.execute(_LOCK_CLAIMS, {"ids": ids, "seqs": seqs}).scalars())
