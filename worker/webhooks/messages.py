"""Messages to endpoints: consecutive changes of one type, in the feed's order, as signed bytes."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from pydantic import SecretStr
from standardwebhooks import Webhook

from shared.analytics_row import encoded
from shared.changes.cursor import Cursor, encode
from shared.changes.feed import Change, Page

MOST_BYTES: Final = 64 * 1024
"""The most bytes of a delivery, unless a single row exceeds them."""
_ENVELOPE: Final = 1_024  # bytes that everything but the changes may take


@dataclass(frozen=True, slots=True)
class Recipient:
    """What of an endpoint decides about a message."""

    endpoint_id: str
    workspace_id: str
    types: frozenset[str]
    """Empty: every type."""
    thin: bool
    redelivery: int
    """Rises with each `dravo webhooks redeliver`: the same content then gets another id."""
    reset: bool
    """The endpoint starts over, because its position was older than the feed remembers."""


@dataclass(frozen=True, slots=True)
class Message:
    """One delivery."""

    type: str
    message_id: str
    body: str
    rows: int = 0
    subjects: tuple[str, ...] = ()
    oldest_change: datetime | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """What to send of a page, and where the endpoint is afterwards; ``message`` ``None``: nothing to send."""

    message: Message | None
    cursor: Cursor
    has_more: bool
    skipped: str | None = None
    """The refused row that comes before the message and is not part of it."""


def subject(change: Change) -> str:
    """Return what identifies the row of a change; an account by its digest, so that no table keeps its id."""
    publication_id = change.body.get("publication_id")
    return publication_id or f"account:{UUID(int=change.position.key)}"


def build(recipient: Recipient, page: Page, before: Cursor, rows: int, *, skip_first: bool) -> Batch:
    """Return the next delivery out of a page of the feed that begins after ``before``."""
    wanted = [change for change in page.changes if not recipient.types or change.type in recipient.types]
    skipped = subject(wanted.pop(0)) if skip_first and len(wanted) > 1 else None
    pieces: list[bytes] = []
    run: list[Change] = []
    size = _ENVELOPE
    for change in wanted[:rows]:
        piece = encoded(change.body)
        size += len(piece) + 1
        if run and (change.type != run[0].type or (size > MOST_BYTES and not recipient.thin)):
            break
        run.append(change)
        pieces.append(piece)
    rest = len(run) < len(wanted)
    after = Cursor(run[-1].position, page.cursor.origin, page.cursor.at) if rest else page.cursor
    has_more = rest or page.has_more
    if not run:
        return Batch(None, after, has_more)
    message = _message(recipient, run, pieces, before if recipient.thin else after, has_more=has_more)
    return Batch(message, after, has_more, skipped)


def _message(
    recipient: Recipient, run: Sequence[Change], pieces: Iterable[bytes], cursor: Cursor, *, has_more: bool
) -> Message:
    names = tuple(subject(change) for change in run)
    content = [[name, change.body["change"]] for name, change in zip(names, run, strict=True)]
    data: dict[str, Any] = {"workspace_id": recipient.workspace_id}
    if recipient.reset:
        data["reset"] = True
    head = encoded({"type": run[0].type, "timestamp": run[-1].changed_at})[:-1]
    tail = encoded({"cursor": encode(cursor, recipient.workspace_id), "has_more": has_more})[1:]
    changes = b"" if recipient.thin else b'"changes":[%b],' % b",".join(pieces)
    body = b'%b,"data":%b,%b%b}' % (head, encoded(data)[:-1], changes, tail)
    return Message(
        type=run[0].type,
        message_id=message_id(recipient, run[0].type, content),
        body=body.decode(),
        rows=len(run),
        subjects=names,
        oldest_change=min(change.changed_at for change in run),
    )


def other_message(recipient: Recipient, kind: str, data: dict[str, Any], at: datetime, key: str) -> Message:
    """Return a message that holds no changes: a test, or news of another endpoint."""
    body = {"type": kind, "timestamp": at, "data": {"workspace_id": recipient.workspace_id, **data}}
    return Message(kind, message_id(recipient, kind, key), encoded(body).decode())


def message_id(recipient: Recipient, kind: str, content: object) -> str:
    """Return an id that the same content for the same endpoint has again, and other content has not."""
    named = encoded([recipient.endpoint_id, recipient.redelivery, kind, content])
    return "msg_" + hashlib.sha256(named).hexdigest()[:32]


def signed_headers(message: Message, secrets: Sequence[SecretStr], at: datetime) -> dict[str, str]:
    """Return the headers of Standard Webhooks; every secret signs.

    https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    """
    at = at.astimezone(UTC)  # the library takes any instant for one in UTC
    signatures = (
        Webhook(secret.get_secret_value()).sign(message.message_id, at, message.body) for secret in secrets
    )
    return {
        "webhook-id": message.message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
        "content-type": "application/json",
    }
