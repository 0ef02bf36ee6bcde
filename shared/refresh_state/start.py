"""Transitions of a claim in a worker's hands: ``start`` spends it, ``extend`` prolongs its lease.

Starting counts ``claim_seq`` once more, so a message that is delivered twice starts once. Attempts are
counted here, before anything can go wrong. The lease of the claim stays while two thirds of it are left: an
update of columns without an index is several times cheaper (a heap-only tuple).
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection, text

from shared.driver.statement import Statement
from shared.refresh_queue import RefreshJob

IS_OPEN: Final = "num_nulls(s.claimed_at) = 0"
"""Whether the claim of a row that is looked up by its id is open, in a form that no index answers.

With statistics of a moment in which nothing was claimed, the planner would look through all open claims, and
the dead entries of former ones, for each id: a finish of 100 rows took 155 ms instead of 7.
"""

_START: Final = Statement(f"""
WITH mine AS (
    SELECT s.publication_id
      FROM unnest(CAST(:ids AS bigint[]), CAST(:seqs AS bigint[])) AS c (id, seq)
      JOIN refresh_state s ON s.publication_id = c.id AND s.claim_seq = c.seq
     WHERE s.account_id || '' = :account_id AND {IS_OPEN} -- likewise: not by the account's index
     ORDER BY s.publication_id FOR UPDATE OF s
), started AS (
    UPDATE refresh_state AS r
       SET claim_seq = r.claim_seq + 1, attempts = LEAST(r.attempts + 1, 30000),
           unfinished = LEAST(r.unfinished + 1, 30000),
           next_run_at = CASE WHEN r.next_run_at >= now() + make_interval(secs => :lease * 2 / 3)
                              THEN r.next_run_at ELSE now() + make_interval(secs => :lease) END
      FROM mine WHERE r.publication_id = mine.publication_id
    RETURNING r.*
)
SELECT now() AS at, s.next_run_at AS leased_until, s.publication_id, s.claim_seq, s.attempts, s.unfinished,
       s.missing_since, s.priority, p.platform_post_id, p.publish_id, p.media_type,
       COALESCE(p.published_at, p.created_at) AS created_at,
       a.sync_status, a.metrics, a.warnings, a.last_updated_at, a.snapshot_at,
       a.freshness, COALESCE(c.reads, 0) AS reads
  FROM started s
  JOIN publications p ON p.id = s.publication_id
  JOIN post_analytics a ON a.publication_id = s.publication_id
  LEFT JOIN read_counts c ON c.publication_id = s.publication_id
 ORDER BY s.publication_id
""")


def start(connection: Connection, job: RefreshJob, lease: timedelta) -> Sequence[Any]:
    """Start the job's claims and return the rows that started, with all that is stored about them.

    A claim that was taken over, started before or finished is not among them. ``claim_seq`` of a returned row
    is the fencing token of the finish; ``at`` is the database's time, ``leased_until`` the end of the lease.
    """
    return _START.all(
        connection,
        {
            "account_id": job.account_id,
            "ids": [publication_id for publication_id, _ in job.claims],
            "seqs": [claim_seq for _, claim_seq in job.claims],
            "lease": lease.total_seconds(),
        },
    )


# Locks in one order whatever is written afterwards: statements over the same rows must not deadlock.
_EXTEND: Final = text(f"""
WITH mine AS (
    SELECT s.publication_id, c.waits
      FROM unnest(CAST(:ids AS bigint[]), CAST(:seqs AS bigint[]), CAST(:waits AS bool[]))
           AS c (id, seq, waits)
      JOIN refresh_state s ON s.publication_id = c.id AND s.claim_seq = c.seq
     WHERE {IS_OPEN}
     ORDER BY s.publication_id FOR UPDATE OF s
), extended AS (
    UPDATE refresh_state AS r SET next_run_at = now() + make_interval(secs => :lease)
      FROM mine WHERE r.publication_id = mine.publication_id AND mine.waits
)
SELECT publication_id FROM mine
""")

Claim = tuple[int, int]
"""A publication id and the ``claim_seq`` under which a worker has its row."""


def extend(
    connection: Connection, waiting: Sequence[Claim], ending: Sequence[Claim], lease: timedelta
) -> frozenset[int]:
    """Extend the lease of the rows that still wait for their answer and lock those that are about to end.

    Returns which of both the worker still has.
    """
    claims = [(*claim, True) for claim in waiting] + [(*claim, False) for claim in ending]
    locked = connection.execute(
        _EXTEND,
        {
            "ids": [publication_id for publication_id, _, _ in claims],
            "seqs": [claim_seq for _, claim_seq, _ in claims],
            "waits": [waits for _, _, waits in claims],
            "lease": lease.total_seconds(),
        },
    )
    return frozenset(locked.scalars())
