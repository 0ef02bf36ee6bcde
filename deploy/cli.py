"""The command line ``dravo``: one file a command family, one place where errors become sentences.

Exit codes: 0 done, 1 something failed, 2 wrong usage, 130 stopped with Ctrl-C.
"""

import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import redis
import typer
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError
from typer.exceptions import Abort, TyperException

from deploy import console
from deploy.commands import accounts, imports, keys, quarantine, resync, secret_values, services, status, why
from shared.settings import SettingsError
from shared.vault import SealError, redact

app = typer.Typer(
    name="dravo",
    help="Keeps the official analytics of every published post fresh, and serves them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Settings are environment variables named DRAVO_…; every command takes --json and --help.",
)
for family in (services, imports, keys, secret_values, accounts, resync, why, status, quarantine):
    family.register(app)


@app.callback()
def options(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,  # noqa: FBT002 - how Typer spells a flag
) -> None:
    """Keeps the official analytics of every published post fresh, and serves them."""
    if show_version:
        console.show(f"dravo {version('dravo-analytics-sync')}")
        raise typer.Exit


def main() -> None:
    """Run the command that the process was started with."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; whatever goes wrong becomes one sentence on stderr."""
    try:
        if any(not _is_text(argument) for argument in arguments):
            raise console.UsageError("an argument is not valid UTF-8 text")
        returned = app(args=list(arguments), prog_name="dravo", standalone_mode=False)
        console.flush()
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback reaches an operator
        code, sentences = _explain(error)
        for sentence in sentences:
            console.complain(f"dravo: {sentence}")
        return code
    return returned if isinstance(returned, int) else 0


def _explain(error: Exception) -> tuple[int, list[str]]:
    """Return the exit code and the lines for an error, without its values."""
    match error:
        case console.CommandError():
            return error.exit_code, [str(error)]
        case SettingsError():
            return 1, str(error).splitlines()
        case TyperException():
            return error.exit_code, [_usage(error)]
        case Abort():
            return 1, ["stopped"]
        case SealError():
            return 1, [str(error)]
        case ProgrammingError() if getattr(error.orig, "sqlstate", None) in _NO_SCHEMA:
            return 1, ["the schema is missing or older than this program: run `dravo migrate`"]
        case OperationalError():
            return 1, [f"PostgreSQL refuses or does not answer ({_said(error)}): check DRAVO_DATABASE_URL"]
        case DBAPIError():
            return 1, [f"PostgreSQL refused a statement ({_said(error)})"]
        case redis.RedisError():
            return 1, ["Redis refuses or does not answer: check DRAVO_REDIS_URL"]
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            return 1, [f"{where}{error.strerror or type(error).__name__}"]
        case _:
            return 1, [f"an error that nobody foresaw, {type(error).__name__}: {_line(str(error))}"]


def _usage(error: TyperException) -> str:
    message = _line(error.format_message()).rstrip(".")
    context = getattr(error, "ctx", None)
    return f"{message} (see `{context.command_path} --help`)" if context else message


def _said(error: DBAPIError) -> str:
    return _line(str(error.orig))


def _line(message: str) -> str:
    """Return the first line of somebody else's message, without credentials."""
    return redact(next((line.strip() for line in message.splitlines() if line.strip()), "no reason given"))


def _is_text(argument: str) -> bool:
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


_NO_SCHEMA = {"42P01", "42703", "3F000"}  # undefined table, column, schema
