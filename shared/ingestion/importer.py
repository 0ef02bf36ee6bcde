"""Import of accounts and publications, for import files and events alike.

Each function imports a chunk of rows (about 1,000) in the caller's transaction: it checks them, splits them
into new, changed and unchanged ones, and writes them in bulk. An invalid row is refused with a sentence while
the others are imported. Importing the same rows again changes nothing.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from shared.accounts.vault import Sealer
from shared.ingestion.accounts import AccountImporter
from shared.ingestion.fields import RowError
from shared.ingestion.publications import PublicationImporter
from shared.ingestion.rows import parse_account, parse_publication
from shared.vocabulary import Platform

_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that was not imported."""

    index: int
    """Its position in the chunk, from 0."""
    message: str
    """One sentence for the sender: the field and what is allowed, without values or secrets."""


@dataclass(frozen=True, slots=True)
class ImportResult:
    """The result of a chunk; ``accepted + unchanged + len(refused)`` is its length."""

    accepted: int
    """Rows that were new or changed a stored row."""
    unchanged: int
    refused: tuple[Refusal, ...]
    new_ids: tuple[int, ...] = ()
    """``publications.id`` of the new publications."""


def import_accounts(
    connection: Connection,
    sealer: Sealer,
    rows: Sequence[object],
    *,
    without_token: Collection[Platform] = (),
) -> ImportResult:
    """Import accounts from decoded JSON objects.

    ``without_token``: platforms whose accounts may lack an access token (`Settings.without_token`). A token
    that differs from the stored one makes an account active again and its rows due. An empty or missing token
    keeps the stored one with its expiry. A known account never changes workspace or platform.
    """
    return _import(
        connection,
        rows,
        parse_account,
        lambda parsed: AccountImporter(connection, sealer, parsed, without_token),
    )


def import_publications(connection: Connection, rows: Sequence[object], *, priority: int = 0) -> ImportResult:
    """Import publications from decoded JSON objects, each new one with its refresh state and analytics row.

    ``priority``: 1 when someone waits for the first snapshot (an event, a handful of rows), 0 for bulk
    imports. A new publication is due at once unless its account is not active or its id at the platform is
    not known yet.
    """
    return _import(
        connection, rows, parse_publication, lambda parsed: PublicationImporter(connection, parsed, priority)
    )


Row = TypeVar("Row")
ImportedRow = TypeVar("ImportedRow", contravariant=True)


class _Importer(Protocol[ImportedRow]):
    """Compares a chunk of rows with the stored ones and writes the difference."""

    def add(self, row: ImportedRow) -> bool:
        """Add a row to the import and return whether it changes anything. Raises `RowError`."""
        ...

    def write(self) -> tuple[int, ...]:
        """Write all differences and return the ids of new publications."""
        ...


def _import(
    connection: Connection,
    rows: Sequence[object],
    parse: Callable[[object], Row],
    importer_of: Callable[[Sequence[Row]], _Importer[Row]],
) -> ImportResult:
    refused = []
    parsed = []
    for index, row in enumerate(rows):
        try:
            parsed.append((index, parse(row)))
        except RowError as error:
            refused.append(Refusal(index, str(error)))
    for left in reversed(range(_ATTEMPTS)):
        try:
            with connection.begin_nested():
                return _write(parsed, refused, importer_of([row for _, row in parsed]))
        except (
            IntegrityError
        ):  # a concurrent import, or a worker that learned an id, committed first: compare again
            if not left:
                raise
    raise AssertionError("the last attempt either returned or raised")


def _write(
    parsed: Sequence[tuple[int, Row]], refused: Sequence[Refusal], importer: _Importer[Row]
) -> ImportResult:
    accepted = 0
    all_refused = list(refused)
    for index, row in parsed:
        try:
            accepted += importer.add(row)
        except RowError as error:
            all_refused.append(Refusal(index, str(error)))
    new_ids = importer.write()
    return ImportResult(
        accepted=accepted,
        unchanged=len(parsed) + len(refused) - accepted - len(all_refused),
        refused=tuple(sorted(all_refused, key=lambda refusal: refusal.index)),
        new_ids=new_ids,
    )
