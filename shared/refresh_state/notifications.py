"""PostgreSQL notifications about rows: what was made due, and what an interactive refresh has finished.

A notification is sent at commit, so nothing is announced that did not happen.
"""

import json
from collections.abc import Collection, Sequence

from sqlalchemy import Connection, text

from shared.observability import tracing

DUE_CHANNEL = "dravo_due"
"""PostgreSQL channel on which the scheduler listens; the payload is that of `due_payload`."""

REFRESHED_CHANNEL = "dravo_refreshed"
"""PostgreSQL channel of finished interactive refreshes; the payload is publication ids, comma-separated."""

_MOST_TRACED = 150
"""Claims that one notification names; a payload holds 8,000 bytes."""

_NOTIFY = text("SELECT pg_notify(:channel, :payload)")


def notify_due(connection: Connection, claims: Sequence[tuple[int, int | None]] = ()) -> None:
    """Wake the schedulers once this transaction commits; ``claims`` as in `due_payload`."""
    connection.execute(_NOTIFY, {"channel": DUE_CHANNEL, "payload": due_payload(claims)})


def due_payload(claims: Sequence[tuple[int, int | None]]) -> str:
    """Return the payload of a notification: the trace context of these claims, empty without tracing.

    ``claims`` are publication ids with the ``claim_seq`` of the next claim (``None``: it has begun). A
    context belongs to that claim alone: every scheduler is notified, and one that did not get the row must
    not hand the context to a later claim.
    """
    context = tracing.traceparent()
    if not context:
        return ""
    next_claims = [[publication_id, seq] for publication_id, seq in claims if seq is not None]
    return json.dumps({"traceparent": context, "claims": next_claims[:_MOST_TRACED]})


def notify_refreshed(connection: Connection, publication_ids: Collection[int]) -> None:
    """Wake the readers that wait for these publications once this transaction commits."""
    if publication_ids:
        payload = ",".join(map(str, publication_ids))
        connection.execute(_NOTIFY, {"channel": REFRESHED_CHANNEL, "payload": payload})
