"""Transition ``unquarantine``: a quarantined row is tried again, or waits for its account to be reconnected.

Rows enter the quarantine by `shared.refresh_state.finish`.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, text

from shared.refresh_state.notifications import notify_due

_ACCOUNTS: Final = text("""
SELECT DISTINCT account_id FROM refresh_state
 WHERE reason = 'quarantined' AND (CAST(:ids AS bigint[]) IS NULL OR publication_id = ANY(:ids))
""")

_UNQUARANTINE: Final = text("""
WITH mine AS (
    SELECT publication_id FROM refresh_state
     WHERE next_run_at IS NULL AND reason = 'quarantined'
       AND (CAST(:ids AS bigint[]) IS NULL OR publication_id = ANY(:ids))
     ORDER BY publication_id FOR UPDATE
), released AS (
    UPDATE refresh_state AS r
       SET next_run_at = CASE a.state WHEN 'active' THEN now() END,
           reason = CASE a.state WHEN 'active' THEN 'manual' ELSE 'blocked' END,
           attempts = 0, unfinished = 0, claimed_at = NULL, claim_seq = r.claim_seq + 1
      FROM mine, accounts a
     WHERE r.publication_id = mine.publication_id AND a.account_id = r.account_id
    RETURNING r.publication_id, a.state, a.state_reason
), blocked AS (
    UPDATE post_analytics AS s
       SET sync_status = 'requires_reconnect', error_message = COALESCE(released.state_reason, :unreadable)
      FROM released WHERE s.publication_id = released.publication_id AND released.state <> 'active'
)
SELECT publication_id FROM released
""")


def accounts_of_quarantined(connection: Connection, publication_ids: Sequence[int] | None) -> Sequence[str]:
    """Return the accounts whose rows `unquarantine` would write: the caller locks their states first."""
    return connection.execute(_ACCOUNTS, {"ids": publication_ids}).scalars().all()


def unquarantine(
    connection: Connection, publication_ids: Sequence[int] | None, *, unreadable: str
) -> list[int]:
    """Let these quarantined publications (``None``: all of them) be tried again; return which ones were.

    ``unreadable``: the error of a row whose account may not be read, when the account records none.
    """
    bound = {"ids": publication_ids, "unreadable": unreadable}
    released = sorted(connection.execute(_UNQUARANTINE, bound).scalars())
    if released:
        notify_due(connection)
    return released
