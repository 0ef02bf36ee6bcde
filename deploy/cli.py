"""The command line ``dravo``: registers every command family and turns errors into sentences on stderr.

Exit codes: 0 done, 1 something failed, 2 wrong usage, 130 stopped with Ctrl-C.
"""

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.exc import DBAPIError, OperationalError
from typer.exceptions import Abort, TyperException

from deploy import console
from deploy.commands import (
    accounts,
    demo,
    freshness,
    keys,
    resync,
    schema,
    secret_values,
    services,
    status,
    why,
)
from deploy.commands.importing import imports
from deploy.commands.stops import pause, quarantine
from deploy.commands.stored_data import erase, export, retention
from deploy.commands.webhooks import webhooks
from deploy.local import running
from shared.accounts.vault import SealError, redact
from shared.settings import SettingsError

app = typer.Typer(
    name="dravo",
    help="Keeps the official analytics of every published post fresh, and serves them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Settings are environment variables named DRAVO_…; every command takes --json and --help.",
)
for family in (
    services,
    imports,
    keys,
    secret_values,
    accounts,
    resync,
    schema,
    why,
    freshness,
    status,
    pause,
    quarantine,
    erase,
    demo,
    retention,
    export,
    webhooks,
):
    family.register(app)


def _print_version(requested: bool) -> None:  # noqa: FBT001 - Typer passes an option's value by position
    if requested:
        console.show(f"dravo {version('dravo-analytics-sync')}")
        raise typer.Exit


@app.callback()
def options(
    *,
    _: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Keep the official analytics of every published post fresh, and serve them."""


def main() -> None:
    """Run the command that the process was started with."""
    if isinstance(sys.stdout, TextIOWrapper):  # what the terminal cannot encode, it shows as an escape
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; every error becomes one sentence on stderr."""
    try:
        _check_encoding(arguments)
        _use_local_stack(arguments)
        returned = app(args=list(arguments), prog_name="dravo", standalone_mode=False)
        console.flush()
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - whatever it is, no traceback reaches an operator
        code, sentences = _explain(error)
        for sentence in sentences:
            console.complain(f"dravo: {sentence}")
        return code
    return returned if isinstance(returned, int) else 0


def _use_local_stack(arguments: Sequence[str]) -> None:
    """Use the settings of the nearest `dravo up` where no database is set, and say so on stderr."""
    command = next((one for one in arguments if not one.startswith("-")), None)
    helping = not {"-h", "--help", "--version"}.isdisjoint(arguments)
    if command in _WITHOUT_LOCAL_STACK or command is None or helping or os.environ.get("DRAVO_DATABASE_URL"):
        return
    path = running.find_environment(Path.cwd())
    if path is None:
        return
    for name, value in running.read_environment(path).items():
        os.environ.setdefault(name, value)
    console.complain(f"dravo: DRAVO_DATABASE_URL is not set: using {path}")


def _explain(error: Exception) -> tuple[int, list[str]]:
    """Return the exit code and the sentences for an error, without the values that it carries."""
    match error:
        case console.CommandError():
            return error.exit_code, [str(error)]
        case TyperException():
            return error.exit_code, _usage(error)
        case SettingsError() | SealError():
            return 1, str(error).splitlines()
        case DBAPIError():
            return 1, [_database(error)]
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            return 1, [f"{where}{error.strerror or type(error).__name__}"]
        case Abort():
            return 1, ["stopped"]
        case _:
            return 1, [f"unexpected error {type(error).__name__}: {_line(str(error))}"]


def _database(error: DBAPIError) -> str:
    reason = _line(str(error.orig))
    if getattr(error.orig, "sqlstate", None) in _NO_SCHEMA:
        return "the schema is missing or older than this program: run `dravo migrate`"
    if isinstance(error, OperationalError):
        return f"PostgreSQL refuses connections or does not answer ({reason}): check DRAVO_DATABASE_URL"
    return f"PostgreSQL refused a statement ({reason})"


def _usage(error: TyperException) -> list[str]:
    message = error.format_message().replace("Value error, ", "").rstrip(".")
    if not message:  # no command was given: Typer has printed the help
        return []
    context = getattr(error, "ctx", None)
    return [_line(message) + (f" (see `{context.command_path} --help`)" if context else "")]


def _line(message: str) -> str:
    """Return the first line of a library's message, without credentials."""
    return redact(next((line.strip() for line in message.splitlines() if line.strip()), "no reason given"))


def _check_encoding(arguments: Sequence[str]) -> None:
    try:
        "".join(arguments).encode()
    except UnicodeEncodeError:
        raise console.UsageError("an argument is not valid UTF-8 text") from None


_WITHOUT_LOCAL_STACK = {"up", "migrate", "api", "worker", "scheduler", "secrets", "schema"}
"""Commands that start services or need no database: none of them may join a local stack unasked."""
_NO_SCHEMA = {"42P01", "42703", "3F000"}  # undefined table, column, schema
