"""Processing of events: one transaction for a batch, each event once and in order, refused ones reported."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, Final

import structlog
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DataError, IntegrityError, OperationalError

from api_stub.events.batch import OF_ACCOUNTS, BatchResult, Event, EventType, RejectedEvent
from api_stub.http.errors import quotable
from shared.accounts import states
from shared.accounts.states import disconnect, reconnect
from shared.accounts.vault import Sealer
from shared.erasure import subject
from shared.erasure.requests import request
from shared.ingestion.importer import ImportResult, import_accounts, import_publications
from shared.vocabulary import Platform

_MAX_TRIES: Final = 4
_CONFLICTS: Final = frozenset({"40P01", "40001"})  # deadlock_detected, serialization_failure
_INTERACTIVE: Final = 1
_log = structlog.get_logger(__name__)
_BAD_EVENT: Final = (DataError, IntegrityError, ValueError, TypeError, OverflowError)
"""Raised for values of an event that no check covers; an unreachable database raises none of these."""


class EventProcessor:
    """Processes batches of events. Without a sealer it refuses events that store accounts."""

    def __init__(
        self, engine: Engine, sealer: Sealer | None, without_token: frozenset[Platform] = frozenset()
    ) -> None:
        self._engine = engine
        self._sealer = sealer
        self._without_token = without_token

    def process(self, events: Sequence[Event]) -> BatchResult:
        """Commit a batch and return its result.

        When PostgreSQL or its driver refuses a value that no check covers, each event is committed in its own
        transaction: the faulty one is refused, and the others are committed.
        """
        try:
            return self._commit(events)
        except _BAD_EVENT as error:
            if len(events) > 1:
                return _sum([self.process([event]) for event in events])
            (event,) = events
            # The error's text may hold values of the event.
            _log.error("event_refused", event_id=event.event_id, error=type(error).__name__)
            return BatchResult(0, 0, (_refuse(event, "the event holds a value that cannot be stored"),))

    def _commit(self, events: Sequence[Event]) -> BatchResult:
        """Commit a batch in one transaction. A deadlock or serialization failure is tried again."""
        for tries_left in reversed(range(_MAX_TRIES)):
            try:
                with self._engine.begin() as connection:
                    return self._apply_all(connection, events)
            except OperationalError as error:
                if not tries_left or getattr(error.orig, "sqlstate", None) not in _CONFLICTS:
                    raise
                _log.info("events_conflict", tries_left=tries_left)
        raise AssertionError("the last try either returned or raised")

    def _apply_all(self, connection: Connection, events: Sequence[Event]) -> BatchResult:
        new = _new_events(connection, events)
        _lock_accounts(connection, new)
        refused: list[RejectedEvent] = []
        for kind, run in groupby(new, key=lambda event: event.type):
            refused += self._apply(connection, kind, list(run))
        _delete_event_ids(connection, [event.event_id for event in refused if event.event_id])
        return BatchResult(len(new) - len(refused), len(events) - len(new), tuple(refused))

    def _apply(
        self, connection: Connection, kind: EventType, run: Sequence[Event]
    ) -> Iterable[RejectedEvent]:
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
            case EventType.ACCOUNT_ERASED:
                return [refused for event in run if (refused := _erase_account(connection, event))]
            case EventType.WORKSPACE_ERASED:
                return [refused for event in run if (refused := _erase_workspace(connection, event))]

    def _connect(self, connection: Connection, run: Sequence[Event]) -> list[RejectedEvent]:
        if self._sealer is None:
            return [_refuse(event, "accounts cannot be stored: no DRAVO_SEALING_KEY") for event in run]
        tokenless = self._tokenless(connection, run)
        run = [event for event in run if event not in tokenless]
        stored = _accounts(connection, run)
        rows = [{**stored.get(event.account_id, {}), **event.data} for event in run]
        refused = [_refuse(event, _NEEDS_CREDENTIALS) for event in tokenless]
        refused += _refusals(
            run, import_accounts(connection, self._sealer, rows, without_token=self._without_token)
        )
        refused_indexes = {event.index for event in refused}
        for event, row in zip(run, rows, strict=True):
            if event.index not in refused_indexes:
                # Also with unchanged credentials: the owner has connected the account, so it is tried again.
                reconnect(connection, str(row["workspace_id"]), str(row["account_id"]))
        return refused

    def _tokenless(self, connection: Connection, run: Sequence[Event]) -> list[Event]:
        """Return the events that would make an account active again of which no token is stored."""
        ids = [event.account_id for event in run]
        without = {
            row.account_id
            for row in connection.execute(_WITHOUT_TOKEN, {"ids": ids})
            if row.platform not in self._without_token
        }
        tokenless = []
        for event in run:
            if event.data.get("access_token"):
                without.discard(event.account_id)
            elif event.account_id in without:
                tokenless.append(event)
        return tokenless


_NEEDS_CREDENTIALS: Final = (
    "access_token is required: the account's tokens were destroyed when it was disconnected;"
    " send the event again with those of the new connection"
)
_WITHOUT_TOKEN: Final = text("""
SELECT account_id, platform FROM accounts WHERE account_id = ANY(:ids) AND sealed_access_token IS NULL
""")
_SEEN: Final = text("""
INSERT INTO events_seen (event_id) SELECT id FROM unnest(CAST(:ids AS text[])) AS id ORDER BY id
    ON CONFLICT DO NOTHING RETURNING event_id
""")


def _new_events(connection: Connection, events: Sequence[Event]) -> list[Event]:
    """Return the events that were not committed before, each id once. Batches with a common id wait here."""
    first = {event.event_id: event for event in reversed(events)}
    new = set(connection.execute(_SEEN, {"ids": list(first)}).scalars())
    return sorted((event for key, event in first.items() if key in new), key=lambda event: event.index)


def _lock_accounts(connection: Connection, events: Sequence[Event]) -> None:
    """Lock all accounts of a batch in one statement and in order, so that two batches do not deadlock."""
    ids = [event.account_id for event in events]
    changes = any(event.type in OF_ACCOUNTS for event in events)
    (states.lock if changes else states.lock_shared)(connection, ids)


def _delete_event_ids(connection: Connection, event_ids: Sequence[str]) -> None:
    """Delete the ids of refused events, so that they can be sent again, corrected, under the same id."""
    if event_ids:
        connection.execute(text("DELETE FROM events_seen WHERE event_id = ANY(:ids)"), {"ids": event_ids})


_ACCOUNTS: Final = text("""
SELECT account_id, workspace_id, platform, platform_account_id FROM accounts WHERE account_id = ANY(:ids)
""")


def _accounts(connection: Connection, run: Sequence[Event]) -> dict[str, dict[str, Any]]:
    """Return the stored identity of these accounts, so that an event may hold only what changed."""
    rows = connection.execute(_ACCOUNTS, {"ids": [event.account_id for event in run]}).mappings()
    return {row["account_id"]: dict(row) for row in rows}


def _disconnect(connection: Connection, event: Event) -> RejectedEvent | None:
    stored = _accounts(connection, [event]).get(event.account_id)
    if stored is None:
        account_id = event.account_id
        return _refuse(
            event, f"no account has the id {quotable(account_id)}" if account_id else "account_id is required"
        )
    if event.data.get("workspace_id", stored["workspace_id"]) != stored["workspace_id"]:
        return _refuse(event, "workspace_id is not that of the account")
    disconnect(connection, stored["workspace_id"], stored["account_id"])
    return None


def _erase_account(connection: Connection, event: Event) -> RejectedEvent | None:
    """Begin an erasure. An account that is not known is accepted: nothing is stored of it."""
    if not event.account_id:
        return _refuse(event, "account_id is required")
    stored = subject.account(connection, event.account_id)
    if stored is None:
        return None
    if event.data.get("workspace_id", stored.workspace_id) != stored.workspace_id:
        return _refuse(event, "workspace_id is not that of the account")
    request(connection, stored, "event")
    return None


def _erase_workspace(connection: Connection, event: Event) -> RejectedEvent | None:
    workspace_id = event.data.get("workspace_id")
    if not (isinstance(workspace_id, str) and workspace_id and workspace_id.isprintable()):
        return _refuse(event, "workspace_id is required")
    stored = subject.workspace(connection, workspace_id)
    if stored is not None:
        request(connection, stored, "event")
    return None


# The refresh state is locked first, as the worker does: a refresh that finishes later finds no row.
_LOCK: Final = text("""
SELECT r.publication_id FROM refresh_state r JOIN publications p ON p.id = r.publication_id
 WHERE p.post_id = :post_id
   AND (CAST(:workspace_id AS text) IS NULL OR p.workspace_id = :workspace_id)
   AND (CAST(:account_id AS text) IS NULL OR p.account_id = :account_id)
   AND (CAST(:platform_post_id AS text) IS NULL OR p.platform_post_id = :platform_post_id)
 ORDER BY r.publication_id FOR UPDATE OF r
""")
_SELECTION: Final = ("post_id", "workspace_id", "account_id", "platform_post_id")


def _delete(connection: Connection, event: Event) -> RejectedEvent | None:
    selection = {name: event.data.get(name) for name in _SELECTION}
    if not selection["post_id"]:
        return _refuse(event, "post_id is required")
    for name, value in selection.items():
        if value is not None and not (isinstance(value, str) and value.isprintable()):
            return _refuse(event, f"{name} must be a string without control characters")
    ids = list(connection.execute(_LOCK, selection).scalars())
    # Its history goes with it, by a trigger.
    connection.execute(text("DELETE FROM publications WHERE id = ANY(:ids)"), {"ids": ids})
    return None


def _refusals(run: Sequence[Event], result: ImportResult) -> list[RejectedEvent]:
    return [_refuse(run[refusal.index], refusal.message) for refusal in result.refused]


def _sum(parts: Sequence[BatchResult]) -> BatchResult:
    return BatchResult(
        sum(part.accepted for part in parts),
        sum(part.duplicates for part in parts),
        tuple(refused for part in parts for refused in part.refused),
    )


def _refuse(event: Event, message: str) -> RejectedEvent:
    return RejectedEvent(event.index, event.event_id, message)
