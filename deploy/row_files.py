"""Reader of import files: streams the rows of JSON Lines or CSV and reports malformed lines by number."""

import csv
import json
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import PurePath
from typing import Literal, NamedTuple

LINE_BYTES = 1_048_576
Format = Literal["jsonl", "csv"]

_EXTENSIONS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
}
_BOM = b"\xef\xbb\xbf"


Decode = Callable[[bytes], object | None]
"""Returns the row of a line of JSON; ``None``: the line is decoded without it."""


class Line(NamedTuple):
    """One row of a file, or the mistake in it."""

    number: int
    """The number of its first line, from 1."""
    row: object
    """What the caller's `Decode` made of it, or the decoded JSON object, or for CSV one made of its cells.

    Meaningless when ``mistake`` is set."""
    mistake: str | None = None
    size: int = 0
    """Its bytes in the file, about; a chunk of large rows has fewer of them."""


class FileError(Exception):
    """The file as a whole cannot be read; the message is one sentence."""


def read(source: BufferedReader, name: str, decode: Decode | None = None) -> Iterator[Line]:
    """Yield the rows of an open file. The name's extension decides the format, or else the first character.

    ``decode`` has the first try at each line of JSON. A byte order mark and blank lines are skipped.
    Raises `FileError`.
    """
    start = source.peek(64)[:64]
    if start.startswith(_BOM):
        source.read(len(_BOM))
    kind = _EXTENSIONS.get(PurePath(name).suffix.lower()) or _sniff_format(start)
    return _json_lines(source, decode) if kind == "jsonl" else _csv_rows(source)


def _sniff_format(start: bytes) -> Format:
    return "jsonl" if start.removeprefix(_BOM).lstrip().startswith((b"{", b"[")) else "csv"


def _raw_lines(source: BufferedReader) -> Iterator[tuple[int, bytes | None]]:
    """Yield each line with its number; ``None`` stands for one that is longer than `LINE_BYTES`."""
    number = 0
    while line := source.readline(LINE_BYTES + 1):
        number += 1
        if len(line) <= LINE_BYTES or line.endswith(b"\n"):
            yield number, line
            continue
        while line and not line.endswith(b"\n"):
            line = source.readline(LINE_BYTES)
        yield number, None


def _json_lines(source: BufferedReader, decode: Decode | None) -> Iterator[Line]:
    for number, line in _raw_lines(source):
        if line is None:
            yield Line(number, None, f"the line is longer than {LINE_BYTES} bytes")
        elif decode is not None and (row := decode(line)) is not None:
            yield Line(number, row, size=len(line))
        elif line.strip():
            yield _json_line(number, line)


def _json_line(number: int, line: bytes) -> Line:
    try:
        row = json.loads(line.decode(), parse_constant=_no_constant)
    except UnicodeDecodeError:
        return Line(number, None, "the line is not valid UTF-8")
    except (ValueError, RecursionError):
        return Line(number, None, "the line is not one JSON object")
    return Line(number, row, size=len(line))


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def _csv_rows(source: BufferedReader) -> Iterator[Line]:
    """Yield CSV rows as objects with the names of the first line; an empty cell is an absent field."""
    lines = _TextLines(source)
    header_line = next((line for line in lines if line.strip()), None)
    if header_line is None:
        return
    delimiter = max(",;\t", key=header_line.count)
    header = [name.strip() for name in next(csv.reader([header_line], delimiter=delimiter))]
    if len(header) == 1:
        raise FileError("the file is no JSON Lines, and no CSV: its first line names one column alone")
    if len(set(header)) != len(header) or not all(header):
        raise FileError("the first line of a CSV file names its columns, each one once")
    csv.field_size_limit(LINE_BYTES)
    lines.take_size()
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        started = lines.number + 1
        try:
            cells = next(rows, None)
        except csv.Error as error:
            yield Line(started, None, f"the line is not valid CSV ({error})")
            continue
        if cells is None:
            return
        yield from _csv_row(started, header, cells, lines.take_size())


def _csv_row(number: int, header: list[str], cells: list[str], size: int) -> Iterator[Line]:
    if not any(cells):
        return
    if len(cells) != len(header):
        yield Line(
            number, None, f"the line has {len(cells)} cells, the first line names {len(header)} columns"
        )
        return
    yield Line(number, {name: cell for name, cell in zip(header, cells, strict=True) if cell}, size=size)


class _TextLines:
    """A file's lines as text, counted. Bytes that are not UTF-8 become surrogates, which no field accepts."""

    def __init__(self, source: BufferedReader) -> None:
        self._lines = _raw_lines(source)
        self._size = 0
        self.number = 0

    def take_size(self) -> int:
        """Return the bytes that were read since the last call."""
        size, self._size = self._size, 0
        return size

    def __iter__(self) -> "_TextLines":
        return self

    def __next__(self) -> str:
        self.number, line = next(self._lines)
        if line is None:
            raise csv.Error(f"longer than {LINE_BYTES} bytes")
        self._size += len(line)
        return line.decode("utf-8", "surrogateescape")
