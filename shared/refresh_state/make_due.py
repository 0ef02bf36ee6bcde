"""Make rows due now: the one door for reads, forced reads, re-syncs and reconnects.

Always one statement and one reason, deduplicated by the row itself: a thousand callers cause one refresh. The
scheduler is woken by ``NOTIFY`` at commit, so nothing is announced that did not happen.
"""

import json
from collections.abc import Sequence

from sqlalchemy import Connection, text

from shared.observability import tracing
from shared.vocabulary import Reason

DUE_CHANNEL = "dravo_due"
"""PostgreSQL channel on which the scheduler listens; what a notification says is `payload`."""
_MOST_TRACED = 150
"""Claims that one notification names; a payload holds 8,000 bytes."""

REFRESHED_CHANNEL = "dravo_refreshed"
"""PostgreSQL channel of finished interactive refreshes; the payload is publication ids, comma-separated."""

INTERACTIVE = frozenset({Reason.FORCED, Reason.MANUAL, Reason.NEW})
"""Reasons that go through the interactive lane."""

_ASKED_BY_PEOPLE = frozenset({Reason.FORCED, Reason.MANUAL})

MAKE_DUE = """
WITH asked AS (
    -- locked in one order everywhere: two statements over the same rows must not deadlock
    SELECT s.publication_id FROM refresh_state s WHERE s.publication_id = ANY(:ids)
     ORDER BY s.publication_id FOR UPDATE
)
UPDATE refresh_state AS r
   SET next_run_at = CASE WHEN r.claimed_at IS NOT NULL AND r.next_run_at > now()
                          THEN r.next_run_at ELSE now() END,
       reason = CASE WHEN r.claimed_at IS NOT NULL AND r.next_run_at > now() THEN r.reason ELSE :reason END,
       priority = GREATEST(r.priority, :priority)
  FROM asked JOIN publications p ON p.id = asked.publication_id JOIN accounts a ON a.account_id = p.account_id
 WHERE p.id = r.publication_id
   AND p.workspace_id = :workspace_id
   AND a.state = 'active'
   AND r.reason NOT IN ('quarantined', 'blocked')
   AND (r.next_run_at IS NOT NULL OR :asked)
   AND NOT (r.next_run_at IS NOT NULL AND r.next_run_at <= now() AND r.priority >= :priority)
   AND NOT (r.claimed_at IS NOT NULL AND r.next_run_at > now() AND r.priority >= :priority)
RETURNING r.publication_id,
          CASE WHEN r.claimed_at IS NULL OR r.next_run_at <= now() THEN r.claim_seq + 1 END AS next_claim
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
        "priority": int(reason in INTERACTIVE),
        "asked": reason in _ASKED_BY_PEOPLE,
    }


def make_due(
    connection: Connection,
    workspace_id: str,
    publication_ids: Sequence[int],
    reason: Reason,
    *,
    interactive: bool | None = None,
) -> int:
    """Make these publications of one workspace due now and return how many were not already.

    A row that a worker has right now stays with it: its answer will be newer than this request's predecessor.
    Rows that are no longer polled become due only when a person asks. Rows of accounts that need
    reconnecting, and quarantined ones, stay as they are. ``interactive`` says which lane they take; left out,
    the reason decides.
    """
    bound = parameters(workspace_id, publication_ids, reason)
    if interactive is not None:
        bound["priority"] = int(interactive)
    changed = connection.execute(text(MAKE_DUE), bound).all()
    if changed:
        ring(connection, [(row.publication_id, row.next_claim) for row in changed])
    return len(changed)


def ring(connection: Connection, claims: Sequence[tuple[int, int | None]] = ()) -> None:
    """Wake the scheduler once this transaction commits; ``claims`` as in `payload`."""
    told = {"channel": DUE_CHANNEL, "payload": payload(claims)}
    connection.execute(text("SELECT pg_notify(:channel, :payload)"), told)


def payload(claims: Sequence[tuple[int, int | None]]) -> str:
    """Return what a notification says: the trace context of these claims, or nothing when nobody traces.

    ``claims`` are publication ids with the ``claim_seq`` of the claim to come (``None``: it has begun). A
    context belongs to that very claim: every scheduler is notified, and one that did not get the row must
    not hand the context to a later claim.
    """
    context = tracing.traceparent()
    if not context:
        return ""
    to_come = [[publication_id, seq] for publication_id, seq in claims if seq is not None]
    return json.dumps({"traceparent": context, "claims": to_come[:_MOST_TRACED]})
