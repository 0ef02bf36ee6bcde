"""Takes due rows of accounts: leases them, and makes the jobs of a claim of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil, sqrt
from typing import Any, Final

from sqlalchemy import Connection

from shared.batches import BATCH_SIZE, is_topped_up, job_size
from shared.driver.statement import Statement
from shared.freshness.policy import LEAST_URGENT
from shared.refresh_queue import RefreshJob
from shared.refresh_state.fair_share import Candidate
from shared.refresh_state.ready.in_flight import SUSPECT_STARTS
from shared.vocabulary import Lane, Platform

_NEAR_CALLS: Final = 5
"""Calls' worth of rows that are not due of which the most urgent ones may fill up a call."""

_TAKE: Final = """
WITH picked AS (
    SELECT r.place, r.expired, r.unfinished
      FROM unnest(CAST(:account_ids AS text[]), CAST(CAST(:rows_from AS text[]) AS timestamptz[]),
                  CAST(:sizes AS int[]), CAST(:per_call AS int[]), CAST(:top_ups AS float8[]))
           AS c (account_id, rows_from, size, per_call, top_up)
     CROSS JOIN LATERAL (
           -- rows that are nearly due fill up the last call, and never make one of their own
           SELECT CASE WHEN c.top_up = 0 THEN c.size
                       ELSE LEAST(c.size, (count(*) + c.per_call - 1) / c.per_call * c.per_call) END AS size
             FROM (SELECT FROM refresh_state s
                    WHERE (s.account_id, s.next_run_at) >= (c.account_id, c.rows_from)
                      AND (s.account_id, s.next_run_at) <= (c.account_id, now()) {same_lane}
                      AND c.top_up > 0
                    ORDER BY s.account_id, s.next_run_at LIMIT c.size) due) job
     CROSS JOIN LATERAL (
           SELECT near.place, near.unfinished, near.expired FROM (
                 SELECT s.ctid AS place, s.unfinished, s.claimed_at IS NOT NULL AS expired,
                        s.publication_id, s.next_run_at
                   FROM refresh_state s
                  WHERE (s.account_id, s.next_run_at) >= (c.account_id, c.rows_from)
                    AND (s.account_id, s.next_run_at)
                        <= (c.account_id, now() + make_interval(secs => c.top_up)) {same_lane}
                    AND (s.next_run_at <= now() OR (s.claimed_at IS NULL AND s.reason = 'stale'))
                    AND (s.unfinished < :suspect OR s.claimed_at IS NULL
                         OR s.publication_id = :next_suspect)
                  ORDER BY s.account_id, s.next_run_at
                  LIMIT job.size + CASE WHEN c.top_up = 0 THEN 0
                                        ELSE CAST(:near_calls AS int) * c.per_call END
                    FOR UPDATE OF s SKIP LOCKED) near
             -- of rows that are not due, the most urgent ones: the largest part of their interval has passed
             LEFT JOIN post_analytics a
               ON a.publication_id = near.publication_id AND near.next_run_at > now()
             LEFT JOIN LATERAL (
                  SELECT COALESCE(EXTRACT(epoch FROM now() - a.last_updated_at)
                                  / NULLIF(EXTRACT(epoch FROM near.next_run_at - a.last_updated_at), 0), 1)
                         AS part
                  ) urgency ON true
            WHERE near.next_run_at <= now() OR urgency.part >= CAST(:least_urgent AS float8)
            ORDER BY near.next_run_at > now(), urgency.part DESC, near.next_run_at LIMIT job.size) r
)
UPDATE refresh_state AS r
   SET next_run_at = CAST(:at AS timestamptz) + make_interval(secs => :lease), claim_seq = r.claim_seq + 1,
       claimed_at = :at, reason = 'claimed'
  FROM picked
 WHERE r.ctid = picked.place -- the rows are locked: they stay where they are
RETURNING r.publication_id, r.account_id, r.claim_seq, picked.expired, picked.unfinished
"""
_TAKES: Final = {
    lane: Statement(_TAKE.format(same_lane="AND s.priority > 0" if lane is Lane.INTERACTIVE else ""))
    for lane in Lane
}


@dataclass(frozen=True, slots=True)
class Lease:
    """The lease that rows of a claim get."""

    at: datetime
    """When it begins: ``claimed_at`` of the rows."""
    length: timedelta


def take(
    connection: Connection,
    lane: Lane,
    accounts: Sequence[Candidate],
    lease: Lease,
    top_up: Mapping[Platform, timedelta],
    next_suspect: int | None,
) -> list[Any]:
    """Lease due rows of these accounts, one job of each, and return them.

    ``top_up``: how long before its due time a row may fill a free slot, by platform; the most urgent ones do.
    ``next_suspect``: the suspect that may be taken.
    """
    background = lane is Lane.BACKGROUND
    bound = {
        "account_ids": [one.account_id for one in accounts],
        "rows_from": [one.rows_from for one in accounts],
        "sizes": [job_size(one.platform, one.kind, lane) for one in accounts],
        "per_call": [BATCH_SIZE[one.platform] for one in accounts],
        "top_ups": [
            top_up[one.platform].total_seconds()
            if background and is_topped_up(one.platform, one.kind)
            else 0.0
            for one in accounts
        ],
        "suspect": SUSPECT_STARTS,
        "next_suspect": next_suspect,
        "near_calls": _NEAR_CALLS,
        "least_urgent": LEAST_URGENT,
        "at": lease.at,
        "lease": lease.length.total_seconds(),
    }
    return _TAKES[lane].all(connection, bound)


def jobs_of(rows: Sequence[Any]) -> Iterator[RefreshJob]:
    """Yield one job for each account, and separate jobs for rows whose worker was lost.

    Rows that were lost together are retried in groups of the square root of their number: the row that killed
    their worker is in one group, so a batch of a hundred costs ten calls now, and ten more when that group is
    lost again. Each suspect is a job of its own.
    """
    groups: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for row in rows:
        lost = min(row.unfinished, SUSPECT_STARTS)
        groups.setdefault((row.account_id, lost), []).append((row.publication_id, row.claim_seq))
    for (account_id, lost), claims in groups.items():
        claims.sort()
        size = _group_size(len(claims), lost)
        for first in range(0, len(claims), size):
            yield RefreshJob(account_id, tuple(claims[first : first + size]))


def _group_size(rows: int, lost: int) -> int:
    if lost >= SUSPECT_STARTS:
        return 1
    return ceil(sqrt(rows)) if lost else rows
