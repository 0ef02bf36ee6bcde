"""What events change, in one transaction a batch: each event once, in order, bad ones left out by name."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import Any, Final

import structlog
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DataError, IntegrityError, OperationalError

from api_stub.http.errors import quotable
from shared.accounts import states
from shared.accounts.states import disconnect, reconnect
from shared.accounts.vault import Sealer
from shared.ingestion.importer import ImportResult, import_accounts, import_publications
from shared.vocabulary import Platform

_TRIES: Final = 4
_CLASHED: Final = frozenset({"40P01", "40001"})  # deadlock_detected, serialization_failure
_INTERACTIVE: Final = 1
_log = structlog.get_logger(__name__)


_BAD_EVENT: Final = (DataError, IntegrityError, ValueError, TypeError, OverflowError)
"""What a value that no check foresaw ends in; a database that is away is none of these."""


class EventType(StrEnum):
    """What the rest of Dravo tells."""

    PUBLISHED = "publication.published"
    DELETED = "publication.deleted"
    CONNECTED = "account.connected"
    RECONNECTED = "account.reconnected"
    DISCONNECTED = "account.disconnected"


_OF_ACCOUNTS: Final = frozenset({EventType.CONNECTED, EventType.RECONNECTED, EventType.DISCONNECTED})


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a batch, its form checked; ``data`` is not."""

    index: int
    event_id: str
    type: EventType
    data: Mapping[str, Any]

    @property
    def account_id(self) -> str:
        """The account that this is about; empty, which no account is, when it is not told."""
        named = self.data.get("account_id")
        return named if isinstance(named, str) and named.isprintable() else ""


@dataclass(frozen=True, slots=True)
class Refused:
    """One event that was not taken, and why."""

    index: int
    event_id: str | None
    message: str


@dataclass(frozen=True, slots=True)
class Committed:
    """What came of a batch, once it is committed."""

    accepted: int
    duplicates: int
    """Events that were committed before: they changed nothing."""
    refused: tuple[Refused, ...]


class EventLog:
    """Takes batches of events. Needs a sealer only for accounts that come with credentials."""

    def __init__(
        self, engine: Engine, sealer: Sealer | None, without_token: frozenset[Platform] = frozenset()
    ) -> None:
        self._engine = engine
        self._sealer = sealer
        self._without_token = without_token

    def take(self, events: Sequence[Event]) -> Committed:
        """Commit a batch and return what came of it.

        When PostgreSQL or a driver refuses something in it that no check foresaw, each event is committed on
        its own: the one at fault is named, and its siblings do not wait for somebody to take it out.
        """
        try:
            return self._commit(events)
        except _BAD_EVENT as error:
            if len(events) > 1:
                return _sum([self.take([event]) for event in events])
            (event,) = events
            # The error's text may hold values of the event.
            _log.error("event_refused", event_id=event.event_id, error=type(error).__name__)
            return Committed(0, 0, (_refuse(event, "the event holds a value that cannot be stored"),))

    def _commit(self, events: Sequence[Event]) -> Committed:
        """Commit a batch at once. Two batches that clash are taken one after the other."""
        for left in reversed(range(_TRIES)):
            try:
                with self._engine.begin() as connection:
                    return self._take(connection, events)
            except OperationalError as error:
                if not left or getattr(error.orig, "sqlstate", None) not in _CLASHED:
                    raise
                _log.info("events_clashed", tries_left=left)
        raise AssertionError("the last try either returned or raised")

    def _take(self, connection: Connection, events: Sequence[Event]) -> Committed:
        new = _unseen(connection, events)
        _lock_accounts(connection, new)
        refused: list[Refused] = []
        for kind, run in groupby(new, key=lambda event: event.type):
            refused += self._apply(connection, kind, list(run))
        _forget(connection, [event.event_id for event in refused if event.event_id])
        return Committed(len(new) - len(refused), len(events) - len(new), tuple(refused))

    def _apply(self, connection: Connection, kind: EventType, run: Sequence[Event]) -> Iterable[Refused]:
        match kind:
            case EventType.PUBLISHED:
                rows = [event.data for event in run]
                return _refusals(run, import_publications(connection, rows, priority=_INTERACTIVE))
            case EventType.CONNECTED | EventType.RECONNECTED:
                return self._connect(connection, run)
            case EventType.DISCONNECTED:
                return [refused for event in run if (refused := _disconnect(connection, event))]
            case EventType.DELETED:
                return [refused for event in run if (refused := _delete(connection, event))]

    def _connect(self, connection: Connection, run: Sequence[Event]) -> list[Refused]:
        known = _accounts(connection, run)
        rows = [{**known.get(event.account_id, {}), **event.data} for event in run]
        if self._sealer is None:
            return [_refuse(event, "accounts cannot be stored: no DRAVO_SEALING_KEY") for event in run]
        refused = _refusals(
            run, import_accounts(connection, self._sealer, rows, without_token=self._without_token)
        )
        turned_away = {event.index for event in refused}
        for event, row in zip(run, rows, strict=True):
            if event.index not in turned_away:
                # Whatever its credentials: its owner connected it, so it is tried.
                reconnect(connection, str(row["workspace_id"]), str(row["account_id"]))
        return refused


_SEEN: Final = text("""
INSERT INTO events_seen (event_id) SELECT id FROM unnest(CAST(:ids AS text[])) AS id ORDER BY id
    ON CONFLICT DO NOTHING RETURNING event_id
""")


def _unseen(connection: Connection, events: Sequence[Event]) -> list[Event]:
    """Return the events that were not committed before, each id once. Two batches with one id take turns."""
    first = {event.event_id: event for event in reversed(events)}
    new = set(connection.execute(_SEEN, {"ids": list(first)}).scalars())
    return sorted((event for key, event in first.items() if key in new), key=lambda event: event.index)


def _lock_accounts(connection: Connection, events: Sequence[Event]) -> None:
    """Lock all accounts of a batch at once and in order: two batches in turn must not deadlock."""
    ids = [event.account_id for event in events]
    changes = any(event.type in _OF_ACCOUNTS for event in events)
    (states.lock if changes else states.hold)(connection, ids)


def _forget(connection: Connection, event_ids: Sequence[str]) -> None:
    """Let refused events come again, put right, under the same id."""
    if event_ids:
        connection.execute(text("DELETE FROM events_seen WHERE event_id = ANY(:ids)"), {"ids": event_ids})


_ACCOUNTS: Final = text("""
SELECT account_id, workspace_id, platform, platform_account_id FROM accounts WHERE account_id = ANY(:ids)
""")


def _accounts(connection: Connection, run: Sequence[Event]) -> dict[str, dict[str, Any]]:
    """Return who the known accounts are, so that an event may tell only what changed."""
    found = connection.execute(_ACCOUNTS, {"ids": [event.account_id for event in run]}).mappings()
    return {row["account_id"]: dict(row) for row in found}


def _disconnect(connection: Connection, event: Event) -> Refused | None:
    known = _accounts(connection, [event]).get(event.account_id)
    if known is None:
        named = event.account_id
        return _refuse(
            event, f"no account has the id {quotable(named)}" if named else "account_id is required"
        )
    if event.data.get("workspace_id", known["workspace_id"]) != known["workspace_id"]:
        return _refuse(event, "workspace_id is not that of the account")
    disconnect(connection, known["workspace_id"], known["account_id"])
    return None


# The refresh state is locked first, as the worker does: a refresh that ends now finds nothing to write to.
_LOCK: Final = text("""
SELECT r.publication_id FROM refresh_state r JOIN publications p ON p.id = r.publication_id
 WHERE p.post_id = :post_id
   AND (CAST(:workspace_id AS text) IS NULL OR p.workspace_id = :workspace_id)
   AND (CAST(:account_id AS text) IS NULL OR p.account_id = :account_id)
   AND (CAST(:platform_post_id AS text) IS NULL OR p.platform_post_id = :platform_post_id)
 ORDER BY r.publication_id FOR UPDATE OF r
""")
_NAMING: Final = ("post_id", "workspace_id", "account_id", "platform_post_id")


def _delete(connection: Connection, event: Event) -> Refused | None:
    naming = {name: event.data.get(name) for name in _NAMING}
    if not naming["post_id"]:
        return _refuse(event, "post_id is required")
    for name, value in naming.items():
        if value is not None and not (isinstance(value, str) and value.isprintable()):
            return _refuse(event, f"{name} must be a string without control characters")
    ids = list(connection.execute(_LOCK, naming).scalars())
    connection.execute(text("DELETE FROM snapshots WHERE publication_id = ANY(:ids)"), {"ids": ids})
    connection.execute(text("DELETE FROM publications WHERE id = ANY(:ids)"), {"ids": ids})
    return None


def _refusals(run: Sequence[Event], result: ImportResult) -> list[Refused]:
    return [_refuse(run[refusal.index], refusal.message) for refusal in result.refused]


def _sum(parts: Sequence[Committed]) -> Committed:
    return Committed(
        sum(part.accepted for part in parts),
        sum(part.duplicates for part in parts),
        tuple(refused for part in parts for refused in part.refused),
    )


def _refuse(event: Event, message: str) -> Refused:
    return Refused(event.index, event.event_id, message)
