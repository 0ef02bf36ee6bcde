"""``dravo import``: stores accounts and publications from files; refused rows are reported by line."""

import gc
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Annotated, Final

import typer
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from deploy import console, row_files, stores
from deploy.archive.restore import restore
from deploy.commands.importing import fields as import_fields
from deploy.commands.importing.chunks import Meter, Parse, Store, Tally, parsed, store_lines
from deploy.commands.importing.duplicates import PostsByItem
from deploy.commands.importing.parts import in_parts
from deploy.console import AsJson, CommandError, UsageError
from deploy.row_files import Decode, FileError, Line
from shared.accounts.vault import Vault
from shared.ingestion.importer import ImportResult, import_accounts, import_publications
from shared.ingestion.plain_rows import parse_plain_publication
from shared.ingestion.rows import parse_publication
from shared.settings import load
from shared.vocabulary import Platform

_NEW_OBJECTS: Final = 100_000
"""New objects after which garbage is collected: those of a chunk, about."""

imports = typer.Typer(help="Import accounts, publications or an archive from a file.", no_args_is_help=True)

File = Annotated[str, typer.Argument(help="JSON Lines or CSV (by extension, else by content); - is stdin.")]
OptionalFile = Annotated[
    str | None,
    typer.Argument(
        metavar="FILE",
        help="JSON Lines or CSV (by extension, else by content); - is stdin.",
        show_default=False,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check and count all rows, but store nothing.")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(imports, name="import")


@imports.command(
    epilog=f"Fields: {import_fields.described(import_fields.ACCOUNTS)}\n\n"
    "Examples: dravo import accounts accounts.jsonl\n\ndravo import accounts --example x > accounts.jsonl\n\n"
    "vault-dump | dravo import accounts -"
)
def accounts(
    file: OptionalFile = None,
    *,
    example: Annotated[
        Platform | None, typer.Option(help="Print example rows for this platform, and import nothing.")
    ] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Import connected accounts. Importing the same file again changes nothing.

    JSON: ``accepted``, ``unchanged``, ``refused`` (counts), ``errors`` (array of ``line``, ``message``),
    ``unknown_fields`` (array of ``line``, ``field``, ``nearest``), ``dry_run``; with ``--example`` an array
    of rows. Exits 1 if a row was refused.
    """
    if (file is None) == (example is None):
        raise UsageError("give a FILE to import, or --example PLATFORM to see rows")
    if file is None or example is not None:
        _show_example(import_fields.EXAMPLES[example or Platform.X], as_json=as_json)
        return
    settings = load("database_url", "secret_keys")
    vault = Vault(settings.secret_keys)
    with stores.engine(settings) as engine:
        _run(
            file,
            _transactions(
                engine,
                lambda connection, rows, _: import_accounts(
                    connection, vault, rows, without_token=settings.without_token
                ),
                dry_run=dry_run,
            ),
            import_fields.ACCOUNTS,
            dry_run=dry_run,
            as_json=as_json,
        )


@imports.command(
    epilog=f"Fields: {import_fields.described(import_fields.PUBLICATIONS)}\n\n"
    "Examples: dravo import publications posts.csv\n\ndravo import publications - < posts.jsonl"
)
def publications(file: File, *, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Import publications; new ones are due at once. Importing the same file again changes nothing.

    JSON: ``accepted``, ``unchanged``, ``refused`` (counts), ``errors`` (array of ``line``, ``message``),
    ``unknown_fields`` (array of ``line``, ``field``, ``nearest``), ``dry_run``. Exits 1 if a row was refused.
    """
    with stores.engine(load("database_url")) as engine:
        store = _transactions(
            engine,
            lambda connection, rows, priority: import_publications(connection, rows, priority=priority),
            dry_run=dry_run,
        )
        _run(
            file,
            in_parts(engine, store),
            import_fields.PUBLICATIONS,
            parse=parse_publication,
            decode=parse_plain_publication,
            dry_run=dry_run,
            as_json=as_json,
        )


@imports.command(epilog="Example: dravo import archive ws_1.jsonl")
def archive(file: File, *, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Read back what `dravo export` has written; what is stored already stays.

    An archive has no tokens: its new accounts are disconnected until they are connected again.

    JSON: as for publications.
    """
    settings = load("database_url", "secret_keys")
    vault = Vault(settings.secret_keys)
    with stores.engine(settings) as engine:
        _run(
            file,
            _transactions(
                engine,
                lambda connection, rows, priority: restore(connection, vault, rows, priority),
                dry_run=dry_run,
            ),
            None,
            dry_run=dry_run,
            as_json=as_json,
        )


def _transactions(
    engine: Engine, take: Callable[[Connection, Sequence[object], int], ImportResult], *, dry_run: bool
) -> Store:
    """Return a `Store` that has a transaction of its own at each call."""

    def store(rows: Sequence[object], priority: int) -> ImportResult:
        with engine.connect() as connection:
            result = take(connection, rows, priority)
            if not dry_run:
                connection.commit()
            return result

    return store


def _run(
    file: str,
    store: Store,
    known: Mapping[str, str] | None,
    *,
    dry_run: bool,
    as_json: bool,
    parse: Parse = lambda row: row,
    decode: Decode | None = None,
) -> None:
    """Import a file; ``known``: the fields of its rows, ``None`` for an archive, whose lines differ.

    ``parse`` checks rows while those before are stored; ``store`` checks what it left.
    """
    tally = Tally(as_json)

    posts = PostsByItem()

    def lines(source: BufferedReader) -> Iterator[Line]:
        if known is None:
            yield from row_files.read(source, file)
            return
        for line in row_files.read(source, file, decode):
            tally.check_fields(line, known)
            yield posts.checked(parsed(line, parse))

    try:
        with _rare_collections(), _opened(file) as (source, size), console.progress(of_bytes=True) as bar:
            store_lines(lines(source), store, tally, Meter(bar, source, size))
    except FileError as error:
        raise CommandError(f"{file}: {error}") from error
    except OperationalError as error:
        if not tally.line:
            raise
        raise CommandError(
            f"the connection to PostgreSQL was lost after line {tally.line}:"
            f" at least {tally.accepted} rows are stored; run the same command again to import the rest"
        ) from error
    except KeyboardInterrupt:
        console.complain(
            f"dravo: stopped after line {tally.line}; run the same command again to import the rest"
        )
        raise
    _report(tally, dry_run=dry_run)
    if tally.refused:
        raise typer.Exit(1)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Collect garbage rarely: the rows of a chunk form no cycles, but each collection goes through them."""
    before = gc.get_threshold()
    gc.set_threshold(_NEW_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def _opened(file: str) -> Iterator[tuple[BufferedReader, int | None]]:
    """Open the file, or stdin for ``-``; yield it with its size, which only regular files have."""
    if file == "-":
        if sys.stdin is None:
            raise UsageError("stdin is closed: there is nothing to import")
        yield sys.stdin.buffer, None  # type: ignore[misc]  # a BufferedReader wherever stdin is a file or pipe
        return
    path = Path(file)
    if path.is_dir():
        raise UsageError(f"{file} is a directory, not a file")
    with path.open("rb") as source:
        yield source, path.stat().st_size if path.is_file() else None


def _show_example(rows: Sequence[Mapping[str, object]], *, as_json: bool) -> None:
    if as_json:
        console.emit(rows)
    else:
        console.show(*(json.dumps(row) for row in rows))


def _report(tally: Tally, *, dry_run: bool) -> None:
    if tally.as_json:
        console.emit(
            {
                "accepted": tally.accepted,
                "unchanged": tally.unchanged,
                "refused": tally.refused,
                "errors": tally.errors,
                "unknown_fields": list(tally.unknown_fields.values()),
                "dry_run": dry_run,
            }
        )
        return
    counts = f"{tally.accepted} accepted, {tally.unchanged} unchanged, {tally.refused} refused"
    console.show(f"{counts} (dry run: nothing was stored)" if dry_run else counts)
