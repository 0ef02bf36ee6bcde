"""One page of the feed: the statement, its parameters, and the JSON of the changes that it returns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString, NamedTuple
from uuid import UUID

from shared.analytics_row import ITEM_COLUMNS, AnalyticsRow, item
from shared.changes.cursor import AFTER_ALL_OF, BEGINNING, Cursor, Kind, Position, encode, origin_of

MAX_LIMIT: Final = 500
"""The most changes of one page."""
UPDATED: Final = "analytics.updated"
DELETED: Final = "analytics.deleted"
ACCOUNT: Final = "account."
"""The prefix of an account's types; the account's state follows."""

_CLOCKS_DIFFER_BY: Final = timedelta(hours=1)

# pg_control_checkpoint() has the timeline of the last checkpoint: after a promotion it is the former one for
# a while. The name of the current segment has the one in use, and exists on a primary only.
# https://www.postgresql.org/docs/18/functions-info.html#FUNCTIONS-INFO-CONTROLDATA
_ORIGIN: Final[LiteralString] = """
origin AS MATERIALIZED (
    SELECT (SELECT system_identifier FROM pg_control_system()) AS system_identifier,
           (SELECT oid::bigint FROM pg_database WHERE datname = current_database()) AS database,
           CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())
                ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END AS timeline,
           now() AS read_at, pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next_transaction
)
"""

# The limits of the two lookups are constants: for a parameter the planner would estimate a tenth of all rows,
# and sort them instead of following the index. For the same reason two comparisons of rows bind the workspace
# in `changes`: a plan for any workspace would take one for small that is larger, and sort it for every page.
PAGE: Final[LiteralString] = f"""
WITH {_ORIGIN}, found AS MATERIALIZED (
    (SELECT changed_in, 0 AS kind, md5(account_id)::uuid AS account_key, 0::bigint AS publication_id,
            account_id, state_changed_at AS changed_at, NULL::jsonb AS gone
       FROM accounts
      WHERE workspace_id = %(workspace)s AND changed_in >= (%(changed_in)s::text)::xid8
        AND (changed_in, md5(account_id)::uuid) > ((%(changed_in)s::text)::xid8, %(account_key)s::uuid)
        AND changed_in < pg_snapshot_xmin(pg_current_snapshot())
      ORDER BY changed_in, account_key LIMIT {MAX_LIMIT + 1})
    UNION ALL
    (SELECT changed_in, 1, NULL, publication_id, NULL, changed_at, gone
       FROM changes
      WHERE (workspace_id, changed_in, publication_id)
              > (%(workspace)s, (%(changed_in)s::text)::xid8, %(publication_id)s::bigint)
        AND (workspace_id, changed_in) < (%(workspace)s, pg_snapshot_xmin(pg_current_snapshot()))
      ORDER BY workspace_id, changed_in, publication_id LIMIT {MAX_LIMIT + 1})
), page AS MATERIALIZED (
    SELECT * FROM found ORDER BY changed_in, kind, account_key, publication_id LIMIT %(rows)s
)
SELECT origin.system_identifier, origin.database, origin.timeline, origin.read_at, origin.next_transaction,
       page.changed_in::text, page.kind, page.account_key, page.publication_id, page.changed_at, page.gone,
       c.account_id, c.platform, c.name, c.state, c.state_reason, {ITEM_COLUMNS}
  FROM origin
  LEFT JOIN page ON TRUE
  LEFT JOIN LATERAL (
       SELECT account_id, platform, name, state, state_reason FROM accounts
        WHERE account_id = page.account_id AND workspace_id = %(workspace)s OFFSET 0) c ON page.kind = 0
  LEFT JOIN LATERAL (
       SELECT * FROM publications WHERE id = page.publication_id OFFSET 0) p
    ON page.kind = 1 AND p.workspace_id = %(workspace)s
  LEFT JOIN LATERAL (
       SELECT * FROM post_analytics WHERE publication_id = p.id OFFSET 0) a ON TRUE
 ORDER BY page.changed_in, page.kind, page.account_key, page.publication_id
"""
"""Parameters: `parameters`. Every row begins with the origin; without any change there is one row of it."""

NEWEST: Final[LiteralString] = f"""
WITH {_ORIGIN}
SELECT origin.system_identifier, origin.database, origin.timeline, origin.read_at, origin.next_transaction,
       (SELECT max(changed_in)::text FROM (
           (SELECT changed_in FROM accounts
             WHERE workspace_id = %(workspace)s AND changed_in < pg_snapshot_xmin(pg_current_snapshot())
             ORDER BY changed_in DESC LIMIT 1)
            UNION ALL
           (SELECT changed_in FROM changes
             WHERE workspace_id = %(workspace)s AND changed_in < pg_snapshot_xmin(pg_current_snapshot())
             ORDER BY changed_in DESC LIMIT 1)) newest)
  FROM origin
"""
"""The transaction of the newest change that a reader sees now, after the origin."""


class CursorFromFutureError(ValueError):
    """The cursor names a transaction or an instant that has not been."""


class CursorExpiredError(ValueError):
    """The cursor is of another database or timeline, or older than deleted rows are kept."""


class Origin(NamedTuple):
    """What each row of `PAGE` and `NEWEST` begins with."""

    system_identifier: int
    database: int
    timeline: int
    read_at: datetime
    next_transaction: int

    def cursor(self, position: Position) -> Cursor:
        """Return the cursor of a position that was read here and now."""
        return Cursor(position, origin_of(self.system_identifier, self.database, self.timeline), self.read_at)

    def check(self, cursor: Cursor, keep: timedelta) -> None:
        """Raise `CursorExpiredError` or `CursorFromFutureError` for a cursor that cannot be continued."""
        if cursor.origin != self.cursor(BEGINNING).origin or cursor.at < self.read_at - keep:
            raise CursorExpiredError
        if (
            cursor.position.changed_in >= self.next_transaction
            or cursor.at > self.read_at + _CLOCKS_DIFFER_BY
        ):
            raise CursorFromFutureError


class Change(NamedTuple):
    """One change of the feed."""

    position: Position
    changed_at: datetime
    body: Mapping[str, Any]
    """Its JSON object, whose instants `shared.analytics_row.encoded` renders."""

    @property
    def type(self) -> str:
        """Its type, like ``analytics.updated``."""
        return str(self.body["type"])


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the feed."""

    changes: Sequence[Change]
    cursor: Cursor
    """The position after the page."""
    has_more: bool


_ORIGIN_COLUMNS: Final = 5
_HEAD_COLUMNS: Final = 16


def parameters(workspace_id: str, position: Position, limit: int) -> dict[str, Any]:
    """Return the parameters of `PAGE`."""
    of_account = position.kind is Kind.ACCOUNT
    return {
        "workspace": workspace_id,
        "changed_in": str(position.changed_in),
        # After a publication, every account of the transaction has been read.
        "account_key": UUID(int=position.key if of_account else 2**128 - 1),
        "publication_id": 0 if of_account else position.key,
        "rows": limit + 1,
    }


def page_of(
    rows: Sequence[Sequence[Any]], after: Position, since: Cursor | None, keep: timedelta, limit: int
) -> Page:
    """Return the page of the rows of `PAGE`, which began after a position.

    ``since``: the cursor of that position, if one was given. Raises as `Origin.check` does.
    """
    origin = Origin(*rows[0][:_ORIGIN_COLUMNS])
    if since is not None:
        origin.check(since, keep)
    matching = [row for row in rows if row[_ORIGIN_COLUMNS] is not None]
    shown = matching[:limit]
    bodies = map(_body, shown)
    changes = [
        Change(_position(row), row[9], body)
        for row, body in zip(shown, bodies, strict=True)
        if body is not None
    ]
    position = _position(shown[-1]) if shown else after
    return Page(changes, origin.cursor(position), len(matching) > limit)


def present(row: Sequence[Any]) -> Cursor:
    """Return the cursor of the present from the row of `NEWEST`."""
    newest = row[_ORIGIN_COLUMNS]
    position = BEGINNING if newest is None else Position(int(newest), Kind.PUBLICATION, AFTER_ALL_OF)
    return Origin(*row[:_ORIGIN_COLUMNS]).cursor(position)


def page_body(page: Page, workspace_id: str) -> dict[str, Any]:
    """Return the JSON object of a page."""
    return {
        "changes": [change.body for change in page.changes],
        "cursor": encode(page.cursor, workspace_id),
        "has_more": page.has_more,
    }


def _position(row: Sequence[Any]) -> Position:
    if row[6]:
        return Position(int(row[5]), Kind.PUBLICATION, row[8])
    return Position(int(row[5]), Kind.ACCOUNT, row[7].int)


def _body(row: Sequence[Any]) -> dict[str, Any] | None:
    """Return the JSON of a change; ``None`` for a row whose account or analytics row does not exist."""
    change, kind, publication_id, changed_at, gone = row[5], row[6], row[8], row[9], row[10]
    if not kind:  # an account
        account_id, platform, name, state, reason = row[11:_HEAD_COLUMNS]
        account = {
            "account_id": account_id,
            "platform": platform,
            "name": name,
            "state": state,
            "reason": reason,
        }
        return {"type": ACCOUNT + state, "change": change, "changed_at": changed_at, "account": account}
    head = {"change": change, "changed_at": changed_at, "publication_id": str(publication_id)}
    if gone is not None:
        return {"type": DELETED, **head, "item": gone}
    analytics = AnalyticsRow(*row[_HEAD_COLUMNS:])
    if analytics.sync_status is None:  # its analytics row is not stored yet: storing it is a change
        return None
    return {"type": UPDATED, **head, "item": item(analytics)}
