"""``dravo export``: writes everything that is stored of an account or a workspace, without secrets."""

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, TextIO

import typer

from deploy import console, stores
from deploy.archive.export import lines
from deploy.commands.stored_data.erase import named_subject
from deploy.console import CommandError, UsageError


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(
        epilog="Examples: dravo export --account acc_1 --output acc_1.jsonl\n\n"
        "dravo export --workspace ws_1 | gzip > ws_1.jsonl.gz"
    )(export)


def export(
    *,
    account: Annotated[str | None, typer.Option(help="This account with all its posts.")] = None,
    workspace: Annotated[str | None, typer.Option(help="This workspace with all its accounts.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="A new file, readable by you alone; without it, stdout.")
    ] = None,
) -> None:
    """Write accounts (without tokens), publications and readings as JSON Lines.

    One database snapshot: what changes meanwhile is not in it. `dravo import archive` reads the file back.
    Each line is an object with ``type``: ``account``, ``publication`` or ``reading``.
    """
    if (account is None) == (workspace is None):
        raise UsageError("say what to export: give --account or --workspace")
    with ExitStack() as stack:
        engine = stack.enter_context(stores.engine(statement_seconds=3600))
        connection = stack.enter_context(
            engine.connect().execution_options(isolation_level="REPEATABLE READ")
        )
        exported = named_subject(connection, account, workspace, None)
        file = stack.enter_context(_new_file(output)) if output else sys.stdout
        number = 0
        for line in lines(connection, exported):
            file.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
            number += 1
    if output:
        console.show(f"{number} lines written to {output}")


def _new_file(output: Path) -> TextIO:
    """Create a file that nobody else may read; an existing one is not replaced."""
    try:
        output.touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        raise CommandError(f"{output} exists: name a new file") from None
    return output.open("w", encoding="utf-8")
