"""Stores the lines of a file chunk by chunk: while one chunk is stored, the next one is read and checked."""

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BufferedReader
from typing import NamedTuple

from rich.progress import Progress

from deploy import console
from deploy.row_files import Line
from shared.ingestion.fields import RowError
from shared.ingestion.importer import ImportResult

CHUNK = 20_000
"""Rows that are stored in one transaction; a large statement adds up what its triggers count."""
CHUNK_BYTES = 16_000_000
"""The bytes of lines after which a chunk ends, to bound the memory."""
_MOST_UNKNOWN_FIELDS = 20
SMALL_FILE_ROWS = 20
"""A file of at most so many rows goes to the interactive lane: its user waits for the first snapshots."""

Store = Callable[[Sequence[object], int], ImportResult]
"""Stores rows for good, in the lane of a priority."""
Parse = Callable[[object], object]


@dataclass(slots=True)
class Tally:
    """The counts and refused rows of an import under way."""

    as_json: bool
    accepted: int = 0
    unchanged: int = 0
    refused: int = 0
    line: int = 0
    """The last line that has been processed."""
    errors: list[dict[str, object]] = field(default_factory=list)
    unknown_fields: dict[str, dict[str, object]] = field(default_factory=dict)

    def refuse(self, line: int, message: str) -> None:
        """Report a row that is not stored."""
        self.refused += 1
        if self.as_json:
            self.errors.append({"line": line, "message": message})
        else:
            console.complain(f"line {line}: {message}")

    def check_fields(self, line: Line, known: Mapping[str, str]) -> None:
        """Report a field that no row has, once; its values are ignored."""
        for name in line.row.keys() - known.keys() if isinstance(line.row, dict) else ():
            if name in self.unknown_fields or len(self.unknown_fields) >= _MOST_UNKNOWN_FIELDS:
                continue
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0)[0]
            self.unknown_fields[name] = {"line": line.number, "field": name, "nearest": nearest}
            if not self.as_json:
                console.complain(
                    f"line {line.number}: the field {name} is unknown and ignored; the nearest is {nearest}"
                )


def parsed(line: Line, parse: Parse) -> Line:
    """Return a line with its checked row, or with the mistake in it."""
    if line.mistake is not None:
        return line
    try:
        return line._replace(row=parse(line.row))
    except RowError as error:
        return line._replace(mistake=str(error))


class _Stored(NamedTuple):
    """A chunk that is being stored."""

    result: "Future[ImportResult]"
    chunk: list[Line]
    position: int


def store_lines(lines: Iterator[Line], store: Store, tally: Tally, meter: "Meter") -> None:
    """Store all lines; what is committed is counted, also after an interruption."""
    stored: _Stored | None = None

    def settle() -> None:
        nonlocal stored
        if stored is not None:
            result = stored.result.result()
            before, stored = stored, None
            _count(result, before.chunk, tally)
            meter.advance(before.position)

    first = True
    with ThreadPoolExecutor(1, "import") as storing:
        try:
            while chunk := _chunk(lines):
                rows = [line.row for line in chunk if line.mistake is None]
                priority = int(first and len(chunk) <= SMALL_FILE_ROWS)
                first = False
                settle()
                stored = _Stored(storing.submit(store, rows, priority), chunk, meter.position())
        finally:
            settle()


def _chunk(lines: Iterator[Line]) -> list[Line]:
    chunk = []
    size = 0
    for line in lines:
        chunk.append(line)
        size += line.size
        if len(chunk) >= CHUNK or size >= CHUNK_BYTES:
            break
    return chunk


def _count(result: ImportResult, chunk: list[Line], tally: Tally) -> None:
    numbers = [line.number for line in chunk if line.mistake is None]
    mistakes = [(line.number, line.mistake) for line in chunk if line.mistake is not None]
    refusals = [(numbers[refusal.index], refusal.message) for refusal in result.refused]
    for number, message in sorted(mistakes + refusals):
        tally.refuse(number, message)
    tally.accepted += result.accepted
    tally.unchanged += result.unchanged
    tally.line = chunk[-1].number


class Meter:
    """The progress of an import, in bytes of the file."""

    def __init__(self, bar: Progress, source: BufferedReader, size: int | None) -> None:
        self._bar = bar
        self._source = source
        self._task = bar.add_task("importing", total=size)

    def position(self) -> int:
        """Return how much of the file has been read; 0 for a pipe."""
        return self._source.tell() if self._source.seekable() else 0

    def advance(self, position: int) -> None:
        """Move the progress bar to a position in the file."""
        if self._source.seekable():
            self._bar.update(self._task, completed=position)
