"""Import of publications: matches rows with stored publications, then inserts and updates in bulk.

A row matches the publication of its account with the same ``platform_post_id``; else the one with the same
``publish_id``; else the one of the same post that still waits for its id; else it is a new publication.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from operator import attrgetter

from sqlalchemy import Connection, text

from shared.accounts import states
from shared.driver.copy import copy_rows
from shared.erasure.requests import accounts_under_erasure
from shared.ingestion.fields import RowError
from shared.ingestion.rows import PublicationRow
from shared.refresh_state import ingest as refresh_state
from shared.refresh_state.notifications import notify_due
from shared.vocabulary import Platform

_IMPORT_LOCK = 720_571_932
"""First half of the keys of the advisory locks that allow one import at a time per workspace."""


@dataclass(slots=True)
class _Publication:
    """The columns that an import writes; ``id`` is ``None`` until the publication is stored."""

    id: int | None
    workspace_id: str
    post_id: str
    account_id: str
    platform: str
    platform_post_id: str | None
    publish_id: str | None
    platform_post_url: str | None
    media_type: str | None
    text: str | None
    created_at: datetime
    published_at: datetime | None

    @property
    def has_id(self) -> bool:
        """Whether the platform's id of it is known."""
        return (self.platform_post_id or self.publish_id) is not None


_COLUMNS_WITH_ID = tuple(column.name for column in fields(_Publication))
_COLUMNS = _COLUMNS_WITH_ID[1:]
_ROW_VALUES = attrgetter(*_COLUMNS[4:])
_TYPES = {"id": "bigint", "created_at": "timestamptz", "published_at": "timestamptz"}


def _unnest(columns: Iterable[str]) -> str:
    arrays = ", ".join(f"CAST(:{name} AS {_TYPES.get(name, 'text')}[])" for name in columns)
    return f"unnest({arrays}) AS u ({', '.join(columns)})"


_ACCOUNTS = "SELECT account_id, workspace_id, platform FROM accounts WHERE account_id = ANY(:ids)"
_LOCK = "SELECT pg_advisory_xact_lock(:key, hashtext(w)) FROM unnest(CAST(:workspaces AS text[])) AS w"
_BY_POST = f"""
SELECT {", ".join(_COLUMNS_WITH_ID)} FROM publications WHERE post_id = ANY(:posts) ORDER BY id
"""
_BY_ID = f"""
SELECT {", ".join("p." + name for name in _COLUMNS_WITH_ID)} FROM publications p
  JOIN unnest(CAST(:accounts AS text[]), CAST(:platform_post_ids AS text[])) AS u (account_id, id_there)
    ON p.account_id = u.account_id AND p.platform_post_id = u.id_there
UNION
SELECT {", ".join("p." + name for name in _COLUMNS_WITH_ID)} FROM publications p
  JOIN unnest(CAST(:accounts AS text[]), CAST(:publish_ids AS text[])) AS u (account_id, id_there)
    ON p.account_id = u.account_id AND p.publish_id = u.id_there
"""
_INSERT = f"""
WITH added AS (
    INSERT INTO publications ({", ".join(_COLUMNS)})
    SELECT {", ".join("u." + name for name in _COLUMNS)} FROM {{source}}
    RETURNING id, account_id
), analytics AS (
    INSERT INTO post_analytics (publication_id, sync_status, error_message)
    SELECT added.id, CASE a.state WHEN 'active' THEN 'pending' ELSE 'requires_reconnect' END,
           CASE WHEN a.state <> 'active' THEN coalesce(a.state_reason, :unreadable) END
      FROM added JOIN accounts a USING (account_id)
)
SELECT id FROM added ORDER BY id
"""
_INSERT_FROM_ARRAYS = _INSERT.format(source=_unnest(_COLUMNS))
_COPIED = "copied_publications"
_MAKE_COPIED = f"""
CREATE TEMPORARY TABLE {_COPIED} ON COMMIT DROP AS SELECT {", ".join(_COLUMNS)} FROM publications LIMIT 0
"""
_INSERT_COPIED = _INSERT.format(source=f"pg_temp.{_COPIED} AS u")
_DROP_COPIED = f"DROP TABLE pg_temp.{_COPIED}"
COPIED_FROM = 600
"""New publications from which they are copied into a temporary table: fewer are not worth the table."""
_CHANGEABLE = tuple(
    name for name in _COLUMNS_WITH_ID if name not in {"id", "workspace_id", "account_id", "platform"}
)
_IDS = frozenset({"platform_post_id", "publish_id"})
# An id is never unset: one that a worker has learned since these rows were loaded stays.
_UPDATE = f"""
UPDATE publications AS p
   SET {", ".join(f"{n} = COALESCE(u.{n}, p.{n})" if n in _IDS else f"{n} = u.{n}" for n in _CHANGEABLE)}
  FROM {_unnest(("id", *_CHANGEABLE))}
 WHERE p.id = u.id
"""


class PublicationImporter:
    """Imports the publications of a chunk of rows, matched by each of their ids."""

    def __init__(self, connection: Connection, rows: Sequence[PublicationRow], priority: int) -> None:
        self._connection = connection
        self._priority = priority
        ids = sorted({row.account_id for row in rows})
        states.lock_shared(connection, ids)
        rows_of_accounts = connection.execute(text(_ACCOUNTS), {"ids": ids})
        self._accounts = {account: (workspace, platform) for account, workspace, platform in rows_of_accounts}
        self._under_erasure = accounts_under_erasure(connection, ids)
        self._by_platform_post: dict[tuple[str, str], _Publication] = {}
        self._by_publish: dict[tuple[str, str], _Publication] = {}
        self._by_post: dict[str, list[_Publication]] = defaultdict(list)
        self._new: list[_Publication] = []
        self._stored: dict[int, _Publication] = {}
        self._known: dict[int, _Publication] = {}
        self._load(rows)

    def add(self, row: PublicationRow) -> bool:
        """Add a publication and return whether it changes anything. Raises `RowError`."""
        if row.account_id not in self._accounts:
            raise RowError("account_id is not known: import its account first")
        if row.account_id in self._under_erasure:
            raise RowError("the account is being erased")
        workspace, platform = self._accounts[row.account_id]
        self._check(row, workspace, platform)
        known = self._match(row)
        if known is None:
            self._add_new(row, workspace, platform)
            return True
        changed = False
        for name in _CHANGEABLE:
            value = getattr(row, name)
            keep = value is None and (name in _IDS or name not in row.given)
            if not keep and value != getattr(known, name):
                setattr(known, name, value)
                changed = True
        if changed:
            self._index(known)
        return changed

    def write(self) -> tuple[int, ...]:
        """Write new and changed publications, notify the scheduler of due rows, and return the new ids."""
        due = False
        new_ids: tuple[int, ...] = ()
        changed = [known for key, known in self._known.items() if known != self._stored[key]]
        identified = [known.id or 0 for known in changed if self._is_newly_identified(known)]
        if (
            identified
        ):  # before any publication, like a worker that learns an id; otherwise the two could deadlock
            refresh_state.lock(self._connection, identified)
        if self._new:
            self._new.sort(key=_order)
            new_ids = self._insert(self._new)
            due = refresh_state.insert(self._connection, new_ids, self._priority)
        if changed:
            changed.sort(key=lambda known: known.id or 0)
            self._connection.execute(text(_UPDATE), _arrays(changed, ("id", *_CHANGEABLE)))
        if identified:
            due |= refresh_state.id_arrived(self._connection, identified, self._priority)
        if due:
            notify_due(self._connection)
        return new_ids

    def _insert(self, new: Sequence[_Publication]) -> tuple[int, ...]:
        unreadable = {"unreadable": states.UNREADABLE}
        if len(new) < COPIED_FROM:
            bound = _arrays(new, _COLUMNS) | unreadable
            return tuple(self._connection.execute(text(_INSERT_FROM_ARRAYS), bound).scalars())
        self._connection.execute(text(_MAKE_COPIED))
        copy_rows(self._connection, f"pg_temp.{_COPIED}", _COLUMNS, map(attrgetter(*_COLUMNS), new))
        new_ids = tuple(self._connection.execute(text(_INSERT_COPIED), unreadable).scalars())
        self._connection.execute(text(_DROP_COPIED))
        return new_ids

    def _load(self, rows: Sequence[PublicationRow]) -> None:
        """Wait for other imports into these workspaces, and load the publications that the rows may match."""
        workspaces = sorted({workspace for workspace, _ in self._accounts.values()})
        self._connection.execute(text(_LOCK), {"key": _IMPORT_LOCK, "workspaces": workspaces})
        posts = {"posts": sorted({row.post_id for row in rows})}
        ids = {
            "accounts": [row.account_id for row in rows],
            "platform_post_ids": [row.platform_post_id for row in rows],
            "publish_ids": [row.publish_id for row in rows],
        }
        for stored in (
            *self._connection.execute(text(_BY_POST), posts),
            *self._connection.execute(text(_BY_ID), ids),
        ):
            if stored.id not in self._known:
                known = _Publication(*stored)
                self._known[stored.id] = known
                self._stored[stored.id] = replace(known)
                self._by_post[known.post_id].append(known)
                self._index(known)

    def _index(self, publication: _Publication) -> None:
        if publication.platform_post_id is not None:
            self._by_platform_post[publication.account_id, publication.platform_post_id] = publication
        if publication.publish_id is not None:
            self._by_publish[publication.account_id, publication.publish_id] = publication

    def _check(self, row: PublicationRow, workspace: str, platform: str) -> None:
        if row.workspace_id not in {None, workspace}:
            raise RowError("workspace_id is not that of the account: a publication belongs to its account's")
        if row.platform not in {None, platform}:
            raise RowError("platform is not that of the account")
        if row.publish_id is not None and platform != Platform.TIKTOK:
            raise RowError("publish_id is for tiktok publications only")
        if any(other.workspace_id != workspace for other in self._by_post.get(row.post_id, ())):
            raise RowError("post_id is known in another workspace: a post does not move between workspaces")

    def _match(self, row: PublicationRow) -> _Publication | None:
        account, by_id, by_publish = row.account_id, None, None
        if row.platform_post_id is not None:
            by_id = self._by_platform_post.get((account, row.platform_post_id))
        if row.publish_id is not None:
            by_publish = self._by_publish.get((account, row.publish_id))
        if by_publish is not None and by_publish is not by_id:
            if by_id is not None:
                raise RowError("platform_post_id and publish_id belong to two different publications")
            if row.platform_post_id and by_publish.platform_post_id:
                raise RowError("publish_id is known under another platform_post_id")
        return by_id or by_publish or self._without_id(row)

    def _without_id(self, row: PublicationRow) -> _Publication | None:
        """Return the publication of this post that the row completes, or that it describes without any id."""
        siblings = [one for one in self._by_post.get(row.post_id, ()) if one.account_id == row.account_id]
        for one in siblings:
            clash = row.publish_id and one.publish_id and row.publish_id != one.publish_id
            if one.platform_post_id is None and not clash:
                return one
        return siblings[-1] if siblings and not (row.platform_post_id or row.publish_id) else None

    def _add_new(self, row: PublicationRow, workspace: str, platform: str) -> None:
        publication = _Publication(None, workspace, row.post_id, row.account_id, platform, *_ROW_VALUES(row))
        self._new.append(publication)
        self._by_post[row.post_id].append(publication)
        self._index(publication)

    def _is_newly_identified(self, known: _Publication) -> bool:
        before = self._stored[known.id or 0]
        return (known.has_id and not before.has_id) or (
            known.platform_post_id is not None and before.platform_post_id is None
        )


def _order(publication: _Publication) -> tuple[str, str, str, str]:
    return (
        publication.account_id,
        publication.platform_post_id or "",
        publication.publish_id or "",
        publication.post_id,
    )


def _arrays(publications: Sequence[_Publication], columns: Iterable[str]) -> dict[str, object]:
    return {name: [getattr(publication, name) for publication in publications] for name in columns}
