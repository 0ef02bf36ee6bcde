"""Chooses what a claimed endpoint gets next: a notice, a row that it refused, or the feed's next changes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, text

from shared.changes import feed
from shared.changes.cursor import BEGINNING, Cursor, Kind, Position, decode
from shared.driver.statement import Statement
from worker.webhooks.claims import LoadedEndpoint
from worker.webhooks.messages import Batch, Message, build, other_message

_PAGE: Final = 100
"""Changes read at once: more than a delivery holds, because types that nobody wants are among them."""

_FEED: Final = Statement(feed.PAGE, for_psycopg=True)
_NOTICE: Final = text("""
SELECT notice_id, type, body, created_at FROM webhook_notices
 WHERE endpoint_id = :endpoint_id AND workspace_id = :workspace_id ORDER BY notice_id LIMIT 1
""")
_REFUSED: Final = text("""
SELECT subject, tries FROM webhook_refused_rows
 WHERE endpoint_id = :endpoint_id AND workspace_id = :workspace_id AND next_try_at <= now()
 ORDER BY next_try_at LIMIT 1
""")
_PUBLICATION_AT: Final = text("""
SELECT changed_in::text::bigint, publication_id FROM changes
 WHERE publication_id = CAST(:key AS bigint) AND workspace_id = :workspace_id
""")
_ACCOUNT_AT: Final = text("""
SELECT changed_in::text::bigint, md5(account_id)::uuid FROM accounts
 WHERE md5(account_id)::uuid = CAST(:key AS uuid) AND workspace_id = :workspace_id
""")


@dataclass(frozen=True, slots=True)
class Upcoming:
    """The next delivery of an endpoint."""

    message: Message | None
    """``None``: nothing to send; the position may move all the same."""
    batch: Batch | None = None
    """The part of the feed that it delivers."""
    notice_id: int | None = None
    refused: str | None = None
    """The row that was set aside and is tried alone."""
    refused_tries: int = 0
    expired: bool = False
    """The position is older than the feed remembers: the endpoint starts over."""


def upcoming(connection: Connection, endpoint: LoadedEndpoint, keep: timedelta) -> Upcoming:
    """Return the next delivery of an endpoint."""
    bound = {
        "endpoint_id": endpoint.recipient.endpoint_id,
        "workspace_id": endpoint.recipient.workspace_id,
    }
    notice = connection.execute(_NOTICE, bound).one_or_none() if endpoint.has_notices else None
    if notice is not None:
        key = f"notice {notice.notice_id}"
        message = other_message(endpoint.recipient, notice.type, notice.body, notice.created_at, key)
        return Upcoming(message, notice_id=notice.notice_id)
    if endpoint.has_refused_rows and not endpoint.progress.failures:
        again = _refused(connection, endpoint, bound, keep)
        if again is not None:
            return again
    return _next_run(connection, endpoint, keep)


def _next_run(connection: Connection, endpoint: LoadedEndpoint, keep: timedelta) -> Upcoming:
    since = None if endpoint.cursor is None else decode(endpoint.cursor, endpoint.recipient.workspace_id)
    after = BEGINNING if since is None else since.position
    try:
        page = _page(connection, endpoint, after, since, keep)
    except (feed.CursorExpiredError, feed.CursorFromFutureError):
        return Upcoming(None, expired=True)
    before = since or Cursor(BEGINNING, page.cursor.origin, page.cursor.at)
    progress = endpoint.progress
    batch = build(endpoint.recipient, page, before, progress.rows, skip_first=progress.tries_successor)
    return Upcoming(batch.message, batch)


def _page(
    connection: Connection, endpoint: LoadedEndpoint, after: Position, since: Cursor | None, keep: timedelta
) -> feed.Page:
    bound = feed.parameters(endpoint.recipient.workspace_id, after, _PAGE)
    return feed.page_of(_FEED.tuples(connection, bound), after, since, keep, _PAGE)


def _refused(
    connection: Connection, endpoint: LoadedEndpoint, bound: Mapping[str, Any], keep: timedelta
) -> Upcoming | None:
    """Return the newest state of a row that was set aside and is due, if there is one."""
    row = connection.execute(_REFUSED, bound).one_or_none()
    if row is None:
        return None
    position = _position_before(connection, row.subject, endpoint.recipient.workspace_id)
    if position is None:  # its deletion was purged
        return Upcoming(None, refused=row.subject, refused_tries=row.tries)
    page = _page(connection, endpoint, position, None, keep)
    alone = feed.Page(page.changes[:1], page.cursor, has_more=False)
    before = Cursor(position, page.cursor.origin, page.cursor.at)
    batch = build(endpoint.recipient, alone, before, 1, skip_first=False)
    if batch.message is not None and batch.message.subjects != (row.subject,):
        return None  # a transaction that changes it is open: its new state comes by the feed
    return Upcoming(batch.message, refused=row.subject, refused_tries=row.tries)


def _position_before(connection: Connection, subject: str, workspace_id: str) -> Position | None:
    account = subject.startswith("account:")
    key = subject.removeprefix("account:")
    statement = _ACCOUNT_AT if account else _PUBLICATION_AT
    row = connection.execute(statement, {"key": key, "workspace_id": workspace_id}).one_or_none()
    if row is None or row[0] is None:
        return None
    number = row[1].int if isinstance(row[1], UUID) else row[1]
    return Position(row[0], Kind.ACCOUNT if account else Kind.PUBLICATION, number - 1)
