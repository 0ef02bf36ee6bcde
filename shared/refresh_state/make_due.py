"""Transitions that bring a row's next run forward: ``make_due``, ``make_deferred_due`` and ``promote``."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, text

from shared.refresh_state.notifications import notify_due
from shared.vocabulary import Reason

_REQUESTED: Final = frozenset({Reason.FORCED, Reason.MANUAL})
"""Reasons that are somebody's explicit request; they go through the interactive lane, and reach rows that are
no longer polled, too."""

MAKE_DUE = """
WITH requested AS (
    -- locked in one order everywhere: two statements over the same rows must not deadlock
    SELECT s.* FROM refresh_state s WHERE s.publication_id = ANY(:ids)
     ORDER BY s.publication_id FOR UPDATE
)
-- The conditions read the locked row: `r` is the row as it was before the statement waited for its lock,
-- and a refresh that ended meanwhile would look as if it still had the row.
UPDATE refresh_state AS r
   SET next_run_at = CASE WHEN s.claimed_at IS NOT NULL AND s.next_run_at > now()
                          THEN s.next_run_at ELSE now() END,
       reason = CASE WHEN s.claimed_at IS NOT NULL AND s.next_run_at > now() THEN s.reason ELSE :reason END,
       priority = GREATEST(s.priority, :priority)
  FROM requested s JOIN publications p ON p.id = s.publication_id
  JOIN accounts a ON a.account_id = p.account_id
 WHERE s.publication_id = r.publication_id
   AND p.workspace_id = :workspace_id
   AND a.state = 'active'
   AND s.reason NOT IN ('quarantined', 'blocked')
   AND (s.next_run_at IS NOT NULL OR :requested)
   AND NOT (s.next_run_at IS NOT NULL AND s.next_run_at <= now() AND s.priority >= :priority)
   AND NOT (s.claimed_at IS NOT NULL AND s.next_run_at > now() AND s.priority >= :priority)
RETURNING r.publication_id,
          CASE WHEN s.claimed_at IS NULL OR s.next_run_at <= now() THEN s.claim_seq + 1 END AS next_claim
"""
"""Shared as text because the API runs it on an asynchronous connection of its own.

``next_claim`` is the ``claim_seq`` of the claim that answers the request; NULL where a worker has the row.
"""


def parameters(workspace_id: str, publication_ids: Sequence[int], reason: Reason) -> dict[str, object]:
    """Return the bind parameters of `MAKE_DUE`."""
    return {
        "workspace_id": workspace_id,
        "ids": sorted(set(publication_ids)),
        "reason": reason.value,
        "priority": int(reason in _REQUESTED),
        "requested": reason in _REQUESTED,
    }


def make_due(
    connection: Connection,
    workspace_id: str,
    publication_ids: Sequence[int],
    reason: Reason,
    *,
    interactive: bool | None = None,
) -> int:
    """Make these publications of one workspace due now and return how many rows changed.

    One statement, deduplicated by the row itself: a thousand callers cause one refresh. A row that a worker
    has right now stays with it: its answer is newer than the values that the caller has seen. Rows that are
    no longer polled become due only on an explicit request (``forced``, ``manual``). Blocked and quarantined
    rows stay as they are. ``interactive`` chooses the lane; left out, the reason does.
    """
    bound = parameters(workspace_id, publication_ids, reason)
    if interactive is not None:
        bound["priority"] = int(interactive)
    changed = connection.execute(text(MAKE_DUE), bound).all()
    if changed:
        notify_due(connection, [(row.publication_id, row.next_claim) for row in changed])
    return len(changed)


_ROWS_AT_ONCE: Final = 10_000
"""Rows of one statement: a statement over all rows of a large platform would outlast its time limit."""

_MAKE_DEFERRED_DUE: Final = text("""
WITH deferred AS (
    SELECT s.publication_id FROM refresh_state s JOIN accounts a ON a.account_id = s.account_id
     WHERE s.reason = 'paused' AND s.next_run_at > now() AND s.publication_id > :after
       AND (CAST(:platform AS text) IS NULL OR a.platform = :platform)
       AND (CAST(:account_id AS text) IS NULL OR s.account_id = :account_id)
       AND (CAST(:workspace_id AS text) IS NULL OR a.workspace_id = :workspace_id)
     ORDER BY s.publication_id LIMIT :most FOR UPDATE OF s
)
UPDATE refresh_state AS r SET next_run_at = now()
  FROM deferred WHERE r.publication_id = deferred.publication_id
RETURNING r.publication_id
""")


def make_deferred_due(
    connection: Connection,
    *,
    platform: str | None = None,
    account_id: str | None = None,
    workspace_id: str | None = None,
) -> int:
    """Make the rows due now that a pause has deferred, within this scope, and return how many.

    Each argument narrows the scope; without any, all deferred rows become due.
    """
    changed, last, batch_size = 0, 0, _ROWS_AT_ONCE
    while batch_size == _ROWS_AT_ONCE:
        ids = connection.execute(
            _MAKE_DEFERRED_DUE,
            {
                "platform": platform,
                "account_id": account_id,
                "workspace_id": workspace_id,
                "after": last,
                "most": _ROWS_AT_ONCE,
            },
        ).scalars()
        batch = list(ids)
        batch_size, changed, last = len(batch), changed + len(batch), max(batch, default=last)
    if changed:
        notify_due(connection)
    return changed


_PROMOTE: Final = """
UPDATE refresh_state SET priority = 1
 WHERE publication_id = (
       SELECT r.publication_id FROM refresh_state r JOIN accounts a ON a.account_id = r.account_id
        WHERE a.platform = :platform AND (:account_id = '' OR a.account_id = :account_id)
          AND a.state = 'active' AND r.next_run_at <= now() AND r.claimed_at IS NULL AND r.unfinished = 0
          AND {unless}
        ORDER BY r.priority DESC, r.next_run_at LIMIT 1
          FOR UPDATE OF r SKIP LOCKED)
RETURNING account_id
"""


def promote_one(connection: Connection, platform: str, account_id: str, *, only_if: str) -> str | None:
    """Move one due row of a platform, or of one account of it, to the interactive lane.

    Returns the row's account, or ``None`` when no row is due. ``account_id``: empty for all of them.
    ``only_if``: an SQL condition on ``accounts a`` that the row's account meets, one of our own constants.
    """
    account: str | None = connection.execute(
        text(_PROMOTE.format(unless=only_if)), {"platform": platform, "account_id": account_id}
    ).scalar()
    return account
