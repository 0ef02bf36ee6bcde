"""Jobs in flight: the open claims of rows, grouped by account and instant of the claim."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from shared.driver.statement import Statement
from shared.quota.pauses import BACKGROUND_NOT_PAUSED, NOT_PAUSED
from shared.refresh_state.ready.memory import OldClaims
from shared.vocabulary import Lane

SUSPECT_STARTS: Final = 2
"""Starts without a finish that make a row with an open claim a suspect: it may be what kills its workers.
Suspects are handed out one at a time in the whole fleet, so that the one at fault takes no other row with it
into quarantine."""

PRESENT: Final = """
SELECT COALESCE(min(served - latest_cost / weight), 0) AS present FROM turns
 WHERE scope = 'workspace' AND served_at = (
       SELECT served_at FROM turns WHERE scope = 'workspace' ORDER BY served_at DESC LIMIT 1)
"""
"""The present virtual time: the one at which the latest job began."""

# Rows are compared, not columns, so that no other index can answer (`ready.parts`).
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
    SELECT o.claimed_at, o.account_id, first.leased, o.platform
      FROM unnest(CAST(:claimed_ats AS timestamptz[]), CAST(:account_ids AS text[]),
                  CAST(:platforms AS text[])) AS o (claimed_at, account_id, platform)
     CROSS JOIN LATERAL (
           SELECT r.next_run_at > now() AS leased FROM refresh_state r
            WHERE {_OF_GROUP} LIMIT 1) first
), open_claims AS MATERIALIZED (
    SELECT o.claimed_at, o.account_id,
           COALESCE(o.platform, (SELECT a.platform FROM accounts a WHERE a.account_id = o.account_id))
               AS platform,
           o.leased OR EXISTS (SELECT FROM refresh_state r
                                WHERE {_OF_GROUP}
                                  AND r.next_run_at > now()) AS leased
      FROM (SELECT *, NULL AS platform FROM recent UNION ALL SELECT * FROM old) o
)
"""

_COUNT: Final = Statement(f"""{_OPEN}
, accounts_in_flight AS (
    SELECT platform, account_id, count(*) FILTER (WHERE leased) AS jobs, count(*) AS claims,
           count(*) FILTER (WHERE leased AND claimed_at < :settled_before) AS old_jobs
      FROM open_claims GROUP BY platform, account_id
)
SELECT now.present, p.platform, COALESCE(p.jobs, 0) AS jobs, COALESCE(p.old_jobs, 0) AS old_jobs,
       COALESCE(p.some_expired, FALSE) AS some_expired, p.full_accounts,
       ARRAY(SELECT account_id FROM open_claims WHERE claimed_at < :settled_before
              ORDER BY claimed_at, account_id) AS old_account_ids,
       ARRAY(SELECT CAST(claimed_at AS text) FROM open_claims WHERE claimed_at < :settled_before
              ORDER BY claimed_at, account_id) AS old_claimed_ats,
       ARRAY(SELECT platform FROM open_claims WHERE claimed_at < :settled_before
              ORDER BY claimed_at, account_id) AS old_platforms,
       ARRAY(SELECT leased FROM open_claims WHERE claimed_at < :settled_before
              ORDER BY claimed_at, account_id) AS old_leased
  FROM ({PRESENT}) now
  LEFT JOIN (SELECT platform, CAST(sum(jobs) AS int) AS jobs, CAST(sum(old_jobs) AS int) AS old_jobs,
                    bool_or(jobs < claims) AS some_expired,
                    COALESCE(array_agg(account_id) FILTER (WHERE jobs >= :most), '{{}}') AS full_accounts
               FROM accounts_in_flight GROUP BY platform) p ON TRUE
""")

_RECENT: Final = Statement(f"""{_OPEN}
SELECT platform, account_id, CAST(count(*) AS int) AS jobs
  FROM open_claims WHERE leased GROUP BY platform, account_id
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
    Lane.INTERACTIVE: Statement(_SUSPECT.format(not_paused=NOT_PAUSED)),
    Lane.BACKGROUND: Statement(_SUSPECT.format(not_paused=f"{NOT_PAUSED} AND {BACKGROUND_NOT_PAUSED}")),
}


@dataclass(frozen=True, slots=True)
class InFlight:
    """The open claims that were committed at one instant."""

    present: float
    """The present virtual time: the one at which the latest job began."""
    by_platform: Mapping[str, int]
    """Jobs in flight of each platform that has open claims."""
    full: frozenset[str]
    """Accounts that have as many jobs in flight as they may."""
    some_expired: bool
    """Whether the lease of a job has ended."""
    old_claims: OldClaims
    """The claims that a later count needs not look for."""
    old_by_platform: Mapping[str, int]
    """Jobs in flight of these, by platform."""
    old_by_account: Mapping[str, int]
    """And by account."""


def in_flight(
    connection: Connection, old_claims: OldClaims, settled_before: datetime, account_jobs: int
) -> InFlight:
    """Count the jobs in flight. ``account_jobs``: how many an account may have.

    ``settled_before``: no claim that may still be committed was made before (`ready.memory`).
    """
    bound = {**_bound(old_claims), "settled_before": settled_before, "most": account_jobs}
    rows = _COUNT.all(connection, bound)
    first, counted = rows[0], [row for row in rows if row.platform is not None]
    leased = zip(first.old_account_ids, first.old_leased, strict=True)
    return InFlight(
        first.present,
        {row.platform: row.jobs for row in counted},
        frozenset(account_id for row in counted for account_id in row.full_accounts),
        any(row.some_expired for row in counted),
        OldClaims(
            settled_before,
            tuple(first.old_account_ids),
            tuple(first.old_claimed_ats),
            tuple(first.old_platforms),
        ),
        {row.platform: row.old_jobs for row in counted},
        Counter(account_id for account_id, is_leased in leased if is_leased),
    )


def count_again(connection: Connection, before: InFlight, account_jobs: int) -> InFlight:
    """Count the jobs in flight again, for which only claims are read that were not settled ``before``.

    Older jobs that have ended meanwhile still count.
    """
    bound = _bound(OldClaims(before.old_claims.before))
    platforms, accounts = Counter(before.old_by_platform), Counter(before.old_by_account)
    for row in _RECENT.all(connection, bound):
        platforms[row.platform] += row.jobs
        accounts[row.account_id] += row.jobs
    full = frozenset(account_id for account_id, jobs in accounts.items() if jobs >= account_jobs)
    return replace(before, by_platform=platforms, full=full)


def next_suspect(connection: Connection, lane: Lane, old_claims: OldClaims) -> int | None:
    """Return the publication id of the suspect that may be handed out now.

    ``None``: there is none, or one is in flight; suspects are handed out one at a time in the whole fleet.
    """
    bound = {**_bound(old_claims), "suspect_starts": SUSPECT_STARTS}
    for row in _SUSPECTS[lane].all(connection, bound):
        suspect: int = row.publication_id
        return suspect
    return None


def _bound(old_claims: OldClaims) -> dict[str, Any]:
    return {
        "before": old_claims.before,
        "account_ids": list(old_claims.account_ids),
        "claimed_ats": list(old_claims.claimed_ats),
        "platforms": list(old_claims.platforms),
    }
