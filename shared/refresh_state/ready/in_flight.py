"""Jobs in flight: the open claims of rows, grouped by account and instant of the claim."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

from shared.quota.pauses import BACKGROUND_NOT_PAUSED, NOT_PAUSED
from shared.vocabulary import Lane

SUSPECT_STARTS: Final = 2
"""Starts without a finish that make a row with an open claim a suspect."""

# One index probe for each group of rows that a claim took from one account: the rows themselves are not read.
_OPEN: Final = text("""
WITH RECURSIVE open_claims AS (
    (SELECT claimed_at, account_id FROM refresh_state
      WHERE claimed_at IS NOT NULL ORDER BY claimed_at, account_id LIMIT 1)
    UNION ALL
    SELECT later.claimed_at, later.account_id FROM open_claims CROSS JOIN LATERAL (
           SELECT r.claimed_at, r.account_id FROM refresh_state r
            WHERE r.claimed_at IS NOT NULL
              AND (r.claimed_at, r.account_id) > (open_claims.claimed_at, open_claims.account_id)
            ORDER BY r.claimed_at, r.account_id LIMIT 1) later
)
SELECT open_claims.account_id, open_claims.claimed_at, a.platform,
       EXISTS (SELECT FROM refresh_state r
                WHERE r.claimed_at = open_claims.claimed_at AND r.account_id = open_claims.account_id
                  AND r.next_run_at > now()) AS leased
  FROM open_claims JOIN accounts a ON a.account_id = open_claims.account_id
""")

_SUSPECT: Final = """
WITH suspects AS MATERIALIZED (
    SELECT s.publication_id, s.next_run_at
      FROM unnest(CAST(:account_ids AS text[]), CAST(:instants AS timestamptz[]))
           AS o (account_id, claimed_at)
      JOIN accounts a ON a.account_id = o.account_id
     CROSS JOIN LATERAL (
           SELECT * FROM refresh_state r
            WHERE r.claimed_at = o.claimed_at AND r.account_id = o.account_id
              AND r.unfinished >= :suspect_starts) s
     WHERE s.next_run_at > now() OR (a.state = 'active' AND {not_paused})
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
class OpenClaim:
    """Rows that one claim took from one account: a job, or the few jobs of rows that lost their worker."""

    account_id: str
    claimed_at: datetime
    platform: str
    leased: bool
    """Whether the lease of any of its rows holds. Otherwise they are due again."""


@dataclass(frozen=True, slots=True)
class InFlight:
    """The open claims of the fleet at one instant."""

    claims: tuple[OpenClaim, ...]

    def by_account(self) -> Counter[str]:
        """Return the number of jobs in flight of each account that has any."""
        return Counter(one.account_id for one in self.claims if one.leased)

    def by_platform(self) -> Counter[str]:
        """Return the number of jobs in flight of each platform that has any."""
        return Counter(one.platform for one in self.claims if one.leased)


def in_flight(connection: Connection) -> InFlight:
    """Return the open claims that are committed."""
    return InFlight(tuple(OpenClaim(*row) for row in connection.execute(_OPEN)))


def next_suspect(connection: Connection, lane: Lane, open_claims: InFlight) -> int | None:
    """Return the publication id of the suspect that may be handed out now.

    ``None``: there is none, or one is in flight; suspects are handed out one at a time in the whole fleet.
    """
    if all(one.leased for one in open_claims.claims):
        return None
    bound = {
        "account_ids": [one.account_id for one in open_claims.claims],
        "instants": [one.claimed_at for one in open_claims.claims],
        "suspect_starts": SUSPECT_STARTS,
    }
    suspect: int | None = connection.execute(_SUSPECTS[lane], bound).scalar_one_or_none()
    return suspect
