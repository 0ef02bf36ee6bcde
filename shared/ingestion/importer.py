"""The intake of accounts and publications: import files and events come through this one door.

Each function takes a chunk of rows (about 1,000) inside the caller's transaction: rows are checked, told
apart into new, changed and unchanged, and written in bulk. A wrong row is refused with a sentence and its
siblings are taken. The same rows again change nothing.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from shared.accounts.vault import Sealer
from shared.ingestion.accounts import AccountImporter
from shared.ingestion.publications import PublicationImporter
from shared.ingestion.rows import RowError, parse_account, parse_publication
from shared.vocabulary import Platform

_TRIES = 3


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that was not taken."""

    index: int
    """Its place in the chunk, from 0."""
    message: str
    """One sentence for whoever sent it: the field and what is allowed, no value, no secret."""


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What came of a chunk; ``accepted + unchanged + len(refused)`` is its length."""

    accepted: int
    """Rows that were new or changed something."""
    unchanged: int
    refused: tuple[Refusal, ...]
    new_ids: tuple[int, ...] = ()
    """``publications.id`` of the publications that were not known before."""


def import_accounts(
    connection: Connection,
    sealer: Sealer,
    rows: Sequence[object],
    *,
    without_token: Collection[Platform] = (),
) -> ImportResult:
    """Store accounts from decoded JSON objects.

    ``without_token``: platforms whose accounts may come without an access token (`Settings.without_token`).
    A token that differs from the stored one makes an account active again and its rows due; an empty or
    missing one keeps what is stored, with its expiry. A known account never changes workspace or platform.
    """
    return _take(
        connection,
        rows,
        parse_account,
        lambda parsed: AccountImporter(connection, sealer, parsed, without_token),
    )


def import_publications(connection: Connection, rows: Sequence[object], *, priority: int = 0) -> ImportResult:
    """Store publications from decoded JSON objects, each new one with its refresh state and analytics row.

    ``priority``: 1 when someone waits for the first snapshot (an event, a handful of rows), 0 for bulk. New
    ones are due at once; those of accounts that may not be read are not, and neither are those whose id at
    the platform is still unknown, until it comes.
    """
    return _take(
        connection, rows, parse_publication, lambda parsed: PublicationImporter(connection, parsed, priority)
    )


Row = TypeVar("Row")
RowTaken = TypeVar("RowTaken", contravariant=True)


class _Book(Protocol[RowTaken]):
    """The known rows that a chunk touches, and what is to be written."""

    def enter(self, row: RowTaken) -> bool:
        """Take a row and return whether it changes anything. Raises `RowError`."""
        ...

    def write(self) -> tuple[int, ...]:
        """Write everything that changed and return the ids of new publications."""
        ...


def _take(
    connection: Connection,
    rows: Sequence[object],
    parse: Callable[[object], Row],
    open_book: Callable[[Sequence[Row]], _Book[Row]],
) -> ImportResult:
    refused = []
    parsed = []
    for index, row in enumerate(rows):
        try:
            parsed.append((index, parse(row)))
        except RowError as error:
            refused.append(Refusal(index, str(error)))
    for left in reversed(range(_TRIES)):
        try:
            with connection.begin_nested():
                return _enter(parsed, refused, open_book([row for _, row in parsed]))
        except IntegrityError:  # another intake, or a worker that learned an id, was faster: look again
            if not left:
                raise
    raise AssertionError("the last try either returned or raised")


def _enter(parsed: Sequence[tuple[int, Row]], refused: Sequence[Refusal], book: _Book[Row]) -> ImportResult:
    accepted = 0
    turned_away = list(refused)
    for index, row in parsed:
        try:
            accepted += book.enter(row)
        except RowError as error:
            turned_away.append(Refusal(index, str(error)))
    new_ids = book.write()
    return ImportResult(
        accepted=accepted,
        unchanged=len(parsed) + len(refused) - accepted - len(turned_away),
        refused=tuple(sorted(turned_away, key=lambda refusal: refusal.index)),
        new_ids=new_ids,
    )
