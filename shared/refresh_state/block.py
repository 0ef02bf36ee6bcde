"""Transitions ``block`` and ``unblock``: the rows of an account that may no longer, or again, be read.

The caller holds the account's row ``FOR UPDATE`` (`shared.accounts.states`).
"""

from typing import Final

from sqlalchemy import Connection, text

from shared.refresh_state.notifications import notify_due

_BLOCK: Final = text("""
WITH mine AS (
    -- locked in one order everywhere: jobs of the same account finish meanwhile and must not deadlock
    SELECT s.publication_id FROM refresh_state s JOIN publications p ON p.id = s.publication_id
     WHERE p.account_id = :account_id AND p.workspace_id = :workspace_id AND s.reason <> 'quarantined'
     ORDER BY s.publication_id FOR UPDATE OF s
), blocked AS (
    UPDATE refresh_state AS r
       SET next_run_at = NULL, claimed_at = NULL, claim_seq = r.claim_seq + 1, priority = 0,
           attempts = 0, unfinished = 0, reason = 'blocked'
      FROM mine WHERE r.publication_id = mine.publication_id
    RETURNING r.publication_id
)
UPDATE post_analytics AS a
   SET sync_status = 'requires_reconnect', error_message = :sentence, attempted_at = clock_timestamp(),
       outcome = 'requires_reconnect', outcome_detail = :sentence
  FROM blocked WHERE a.publication_id = blocked.publication_id
RETURNING a.publication_id
""")

# A row without an id at its platform cannot be requested: it waits for the id as before, and says so.
_UNBLOCK: Final = text("""
WITH mine AS (
    SELECT s.publication_id, COALESCE(p.platform_post_id, p.publish_id) IS NOT NULL AS has_id
      FROM refresh_state s JOIN publications p ON p.id = s.publication_id
     WHERE p.account_id = :account_id AND p.workspace_id = :workspace_id AND s.reason = 'blocked'
     ORDER BY s.publication_id FOR UPDATE OF s
), unblocked AS (
    UPDATE refresh_state AS r
       SET next_run_at = CASE WHEN mine.has_id THEN
               now() - make_interval(secs => LEAST(31536000, COALESCE(
                   EXTRACT(epoch FROM now() - a.last_updated_at), 31536000)) / 1e6) END,
           claimed_at = NULL, claim_seq = r.claim_seq + 1, attempts = 0, unfinished = 0,
           reason = CASE WHEN mine.has_id THEN 'reconnected' ELSE 'stopped' END
      FROM mine JOIN post_analytics a ON a.publication_id = mine.publication_id
     WHERE r.publication_id = mine.publication_id
    RETURNING r.publication_id, mine.has_id
), without_id AS (
    UPDATE post_analytics AS a
       SET sync_status = 'pending', error_message = NULL, attempted_at = NULL, outcome = NULL,
           outcome_detail = NULL
      FROM unblocked WHERE a.publication_id = unblocked.publication_id AND NOT unblocked.has_id
)
SELECT publication_id FROM unblocked WHERE has_id
""")


def block(connection: Connection, workspace_id: str, account_id: str, sentence: str) -> int:
    """Stop polling an account's rows and mark them ``requires_reconnect``; return how many.

    Workers that have such rows lose them. ``sentence`` says what the account's owner must do.
    """
    bound = {"account_id": account_id, "workspace_id": workspace_id, "sentence": sentence}
    return len(connection.execute(_BLOCK, bound).all())


def unblock(connection: Connection, workspace_id: str, account_id: str) -> int:
    """Make an account's blocked rows due, the stalest first, and return how many.

    Order is kept by due instants that lie in the past by a millionth of each row's staleness.
    """
    bound = {"account_id": account_id, "workspace_id": workspace_id}
    unblocked = len(connection.execute(_UNBLOCK, bound).all())
    if unblocked:
        notify_due(connection)
    return unblocked
