"""The sweep: looks at one account after the other and repairs what breaks the invariant of the timers.

It finds nothing as long as triggers and claims do their work; what it finds is a fault, and is counted.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from shared.refresh_state.ready.in_flight import SUSPECT_STARTS

ACCOUNTS_AT_ONCE: Final = 1_000
"""Accounts of one statement: some milliseconds."""

# The earliest row of each account and lane suffices: what covers it covers the later ones.
_SWEEP: Final = text("""
WITH slice AS MATERIALIZED (
    SELECT account_id FROM accounts WHERE account_id > :after ORDER BY account_id LIMIT :most
), uncovered AS MATERIALIZED (
    SELECT s.account_id, first.lane, first.next_run_at
      FROM slice s
     CROSS JOIN LATERAL (
           (SELECT 0 AS lane, r.next_run_at FROM refresh_state r
             WHERE r.account_id = s.account_id AND r.next_run_at IS NOT NULL
               AND (r.unfinished < :suspect_starts OR r.claimed_at IS NULL)
             ORDER BY r.account_id, r.next_run_at LIMIT 1)
            UNION ALL
           (SELECT 1, r.next_run_at FROM refresh_state r
             WHERE r.account_id = s.account_id AND r.priority > 0 AND r.next_run_at IS NOT NULL
               AND (r.unfinished < :suspect_starts OR r.claimed_at IS NULL)
             ORDER BY r.account_id, r.next_run_at LIMIT 1)) first
     WHERE NOT EXISTS (
           SELECT FROM ready_accounts q
            WHERE q.lane = first.lane AND q.account_id = s.account_id AND q.rows_from <= first.next_run_at)
       AND NOT EXISTS (
           SELECT FROM account_timers t
            WHERE t.account_id = s.account_id AND t.lane = first.lane AND t.rows_from <= first.next_run_at
              AND t.due_at <= GREATEST(first.next_run_at, clock_timestamp()))
), repaired AS (
    INSERT INTO account_timers (account_id, lane, due_at, rows_from)
    SELECT account_id, lane, GREATEST(next_run_at, clock_timestamp()), next_run_at FROM uncovered
)
SELECT max(slice.account_id) AS last, count(*) AS accounts, (SELECT count(*) FROM uncovered) AS repaired
  FROM slice
""")


@dataclass(frozen=True, slots=True)
class Swept:
    """What one step of the sweep did."""

    last: str
    """Where the next step goes on; empty: from the beginning."""
    repaired: int
    """Accounts, counted by lane, whose next row no timer covered."""


def sweep(connection: Connection, after: str = "", accounts: int = ACCOUNTS_AT_ONCE) -> Swept:
    """Look at the accounts that follow ``after``, and insert the timers that they lack."""
    bound = {"after": after, "most": accounts, "suspect_starts": SUSPECT_STARTS}
    row = connection.execute(_SWEEP, bound).one()
    return Swept(row.last if row.accounts == accounts else "", row.repaired)
