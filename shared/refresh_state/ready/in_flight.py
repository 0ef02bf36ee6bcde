"""Jobs in flight: the open claims of rows, grouped by account and instant of the claim."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, text

from shared.quota.pauses import BACKGROUND_NOT_PAUSED, NOT_PAUSED
from shared.refresh_state.ready.memory import OldClaims
from shared.vocabulary import Lane

SUSPECT_STARTS: Final = 2
"""Starts without a finish that make a row with an open claim a suspect."""

# Rows are compared, not columns, so that no other index can answer (`ready.queue`).
_OF_GROUP: Final = """r.claimed_at IS NOT NULL
                   AND (r.claimed_at, r.account_id) >= (o.claimed_at, o.account_id)
                   AND (r.claimed_at, r.account_id) <= (o.claimed_at, o.account_id)"""

# A few index probes for each group of rows that a claim took from one account: not all rows are read. Recent
# groups are enumerated by the index; older ones are named by the caller, however long ago they were claimed.
_OPEN: Final = f"""
WITH RECURSIVE recent AS (
    (SELECT claimed_at, account_id, next_run_at > now() AS leased FROM refresh_state
      WHERE claimed_at IS NOT NULL AND claimed_at >= COALESCE(CAST(:before AS timestamptz), '-infinity')
      ORDER BY claimed_at, account_id LIMIT 1)
    UNION ALL
    SELECT later.* FROM recent CROSS JOIN LATERAL (
           SELECT r.claimed_at, r.account_id, r.next_run_at > now() AS leased FROM refresh_state r
            WHERE r.claimed_at IS NOT NULL
              AND (r.claimed_at, r.account_id) > (recent.claimed_at, recent.account_id)
            ORDER BY r.claimed_at, r.account_id LIMIT 1) later
), old AS (
    SELECT o.claimed_at, o.account_id, first.leased
      FROM unnest(CAST(:claimed_ats AS timestamptz[]), CAST(:account_ids AS text[]))
           AS o (claimed_at, account_id)
     CROSS JOIN LATERAL (
           SELECT r.next_run_at > now() AS leased FROM refresh_state r
            WHERE {_OF_GROUP} LIMIT 1) first
), open_claims AS MATERIALIZED (
    SELECT o.claimed_at, o.account_id,
           (SELECT a.platform FROM accounts a WHERE a.account_id = o.account_id) AS platform,
           o.leased OR EXISTS (SELECT FROM refresh_state r
                                WHERE {_OF_GROUP}
                                  AND r.next_run_at > now()) AS leased
      FROM (SELECT * FROM recent UNION ALL SELECT * FROM old) o
)
"""

_COUNT: Final = text(f"""{_OPEN}
SELECT platform, CAST(sum(jobs) AS int) AS jobs, bool_or(jobs < claims) AS some_expired,
       COALESCE(array_agg(account_id) FILTER (WHERE jobs >= :most), '{{}}') AS full_accounts,
       ARRAY(SELECT account_id FROM open_claims WHERE claimed_at < :settled_before
              ORDER BY claimed_at, account_id) AS old_account_ids,
       ARRAY(SELECT claimed_at FROM open_claims WHERE claimed_at < :settled_before
              ORDER BY claimed_at, account_id) AS old_claimed_ats
  FROM (SELECT platform, account_id, count(*) FILTER (WHERE leased) AS jobs, count(*) AS claims
          FROM open_claims GROUP BY platform, account_id) accounts
 GROUP BY platform
""")

_SUSPECT: Final = f"""{_OPEN}
, suspects AS MATERIALIZED (
    SELECT s.publication_id, s.next_run_at
      FROM open_claims o
     CROSS JOIN LATERAL (SELECT * FROM accounts WHERE account_id = o.account_id OFFSET 0) a
     CROSS JOIN LATERAL (
           SELECT * FROM refresh_state r
            WHERE {_OF_GROUP}
              AND r.unfinished >= :suspect_starts) s
     WHERE s.next_run_at > now() OR (a.state = 'active' AND {{not_paused}})
)
SELECT publication_id FROM suspects
 WHERE NOT EXISTS (SELECT FROM suspects WHERE next_run_at > now())
 ORDER BY next_run_at, publication_id LIMIT 1
"""
_SUSPECTS: Final = {
    Lane.INTERACTIVE: text(_SUSPECT.format(not_paused=NOT_PAUSED)),
    Lane.BACKGROUND: text(_SUSPECT.format(not_paused=f"{NOT_PAUSED} AND {BACKGROUND_NOT_PAUSED}")),
}


@dataclass(frozen=True, slots=True)
class InFlight:
    """The open claims that were committed at one instant."""

    by_platform: Mapping[str, int]
    """Jobs in flight of each platform that has open claims."""
    full: frozenset[str]
    """Accounts that have as many jobs in flight as they may."""
    some_expired: bool
    """Whether the lease of a job has ended."""
    old_claims: OldClaims
    """The claims that a later count needs not look for."""


def in_flight(
    connection: Connection, old_claims: OldClaims, settled_before: datetime, account_jobs: int
) -> InFlight:
    """Count the jobs in flight. ``account_jobs``: how many an account may have.

    ``settled_before``: no claim that may still be committed was made before (`ready.memory`).
    """
    bound = {**_bound(old_claims), "settled_before": settled_before, "most": account_jobs}
    rows = connection.execute(_COUNT, bound).all()
    old = OldClaims(settled_before)
    if rows:
        old = OldClaims(settled_before, tuple(rows[0].old_account_ids), tuple(rows[0].old_claimed_ats))
    return InFlight(
        {row.platform: row.jobs for row in rows},
        frozenset(account_id for row in rows for account_id in row.full_accounts),
        any(row.some_expired for row in rows),
        old,
    )


def next_suspect(connection: Connection, lane: Lane, old_claims: OldClaims) -> int | None:
    """Return the publication id of the suspect that may be handed out now.

    ``None``: there is none, or one is in flight; suspects are handed out one at a time in the whole fleet.
    """
    bound = {**_bound(old_claims), "suspect_starts": SUSPECT_STARTS}
    suspect: int | None = connection.execute(_SUSPECTS[lane], bound).scalar_one_or_none()
    return suspect


def _bound(old_claims: OldClaims) -> dict[str, Any]:
    return {
        "before": old_claims.before,
        "account_ids": list(old_claims.account_ids),
        "claimed_ats": list(old_claims.claimed_ats),
    }
