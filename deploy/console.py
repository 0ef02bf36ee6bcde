"""The output of commands: results on stdout, as tables or as one JSON document; everything else on stderr."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from deploy import tables

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document, for machines.")]

_UNBOUNDED = 10_000  # columns: output to a pipe or a file is never cut to a terminal's width


class CommandError(Exception):
    """A command cannot continue; the message is one clear sentence for its user."""

    exit_code = 1


class UsageError(CommandError):
    """The command's arguments are wrong."""

    exit_code = 2


def emit(document: object) -> None:
    """Print one JSON document."""
    _write(json.dumps(document, indent=2, allow_nan=False) + "\n")


def show(*parts: RenderableType) -> bool:
    """Print for people: coloured and at the terminal's width, or plain and uncut where stdout is no terminal.

    Return whether stdout still has a reader.
    """
    console = stdout_console()
    with console.capture() as captured:
        for part in parts:
            # The terminal wraps text: a line break of ours would be copied with it.
            console.print(part, soft_wrap=isinstance(part, str))
    text = captured.get()
    if terminal_width() is None:  # a table's last column is padded
        text = "".join(f"{line.rstrip(' ')}\n" for line in text.split("\n")[:-1])
    return _write(text)


def stdout_console() -> Console:
    """Return a console on stdout."""
    return Console(width=terminal_width() or _UNBOUNDED, highlight=False, markup=False, soft_wrap=False)


def complain(sentence: str) -> None:
    """Print one line on stderr, without control characters."""
    if sys.stderr is not None:
        sys.stderr.write(f"{plain(sentence)}\n")
        sys.stderr.flush()


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Sequence[str] = (),
    optional: Sequence[str] = (),
) -> Table:
    """Return a table that fits the terminal, see `deploy.tables.build`; empty headings are not shown."""
    cells = [["-" if cell is None else plain(str(cell)) for cell in row] for row in rows]
    return tables.build(headings, cells, right=right, optional=optional, width=terminal_width())


def terminal_width() -> int | None:
    """Return the width of the terminal in columns, or ``None`` where stdout is none."""
    return Console().width if sys.stdout is not None and sys.stdout.isatty() else None


def readable(text: str) -> str:
    """Return text for people: instants relative to now on a terminal, else to the second."""
    return tables.readable(text, now=datetime.now(UTC) if terminal_width() else None)


class _Rate(ProgressColumn):
    """A column of the progress bar: items per second."""

    def render(self, task: Task) -> Text:
        """Return the rate, or an empty text while it is unknown."""
        return Text(f"{task.speed:,.0f}/s" if task.speed else "", style="progress.data.speed")


def progress(*, of_bytes: bool = False) -> Progress:
    """Return a progress bar on stderr with rate and time left; hidden where stderr is no terminal."""
    console = Console(stderr=True)
    amount = (DownloadColumn(), TransferSpeedColumn()) if of_bytes else (MofNCompleteColumn(), _Rate())
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *amount,
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )


def plain(text: str) -> str:
    """Return text without control characters: a post's text must not control the terminal."""
    return "".join(
        char if char.isprintable() else " " if char.isspace() else "\N{REPLACEMENT CHARACTER}"
        for char in text
    )


def instant(value: datetime | None) -> str | None:
    """Return an instant as the contract writes it: UTC, RFC 3339, with ``Z``."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if value else None


def duration(span: timedelta) -> str:
    """Return a duration for people, in its two largest units."""
    seconds = int(abs(span).total_seconds())
    for size, name, smaller, smaller_name in _UNITS:
        if seconds >= size:
            rest = seconds % size // smaller
            return f"{seconds // size} {name}" + (f" {rest} {smaller_name}" if rest else "")
    return f"{seconds} s"


_UNITS = ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s"))


def flush() -> None:
    """Flush stdout; a pipe whose reader has closed it is no error."""
    _write("")


def _write(output: str) -> bool:
    if sys.stdout is None:  # started with stdout closed
        return False
    try:
        sys.stdout.write(output)
        sys.stdout.flush()
    except BrokenPipeError:  # `dravo … | head`: the command's work is done all the same
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
        os.close(devnull)
        return False
    return True
