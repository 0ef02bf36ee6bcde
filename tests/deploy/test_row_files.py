"""Import files: which rows and which mistakes a reader finds, by format and line."""

import csv
from collections.abc import Iterator
from io import BufferedReader, BytesIO
from typing import Any, cast

import pytest

from deploy import row_files
from deploy.row_files import FileError, Line, read

BOM = b"\xef\xbb\xbf"
NOT_JSON, NOT_UTF8 = "the line is not one JSON object", "the line is not valid UTF-8"
TOO_LONG = "the line is longer than 40 bytes"


@pytest.fixture(autouse=True)
def forty_bytes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(row_files, "LINE_BYTES", 40)
    limit = csv.field_size_limit()  # of the whole process
    yield
    csv.field_size_limit(limit)


def lines(content: bytes, name: str = "-", **options: Any) -> list[Line]:
    return list(read(BufferedReader(cast("Any", BytesIO(content))), name, **options))


def rows_or_mistakes(content: bytes, name: str = "-") -> list[tuple[int, object]]:
    return [(line.number, line.mistake or line.row) for line in lines(content, name)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"\n \r\n", []),
        (b'{"a": 1}\n\n{"a": 2}', [(1, {"a": 1}), (3, {"a": 2})]),
        (BOM + b'\n{"a": 1}\r\n', [(2, {"a": 1})]),
        (
            b'{"a": NaN}\n{"a": -Infinity}\n{"a"}\n[1]',
            [(1, NOT_JSON), (2, NOT_JSON), (3, NOT_JSON), (4, [1])],
        ),
        (b'{"a": "\xff"}\n{"a": 1}', [(1, NOT_UTF8), (2, {"a": 1})]),
        (b"{" + b"x" * 40 + b'\n{"a": 1}', [(1, TOO_LONG), (2, {"a": 1})]),
        (b"{" + b"x" * 400, [(1, TOO_LONG)]),
        (b'{"a": "' + b"x" * 31 + b'"}\n{}', [(1, {"a": "x" * 31}), (2, {})]),
        (b'{"a": "' + b"x" * 31 + b'"}', [(1, {"a": "x" * 31})]),
        (b"[" * 39, [(1, NOT_JSON)]),
    ],
)
def test_rows_and_mistakes_of_json_lines(content: bytes, expected: list[tuple[int, object]]) -> None:
    assert rows_or_mistakes(content) == expected
    assert rows_or_mistakes(content, "rows.JSONL") == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"a,b\n", []),
        (b"a,b\n1,2\n\n3,\n,,\n", [(2, {"a": "1", "b": "2"}), (4, {"a": "3"})]),
        (BOM + b"\n a ; b \n1;2,5\n", [(3, {"a": "1", "b": "2,5"})]),
        (b"a\tb\n1\t2", [(2, {"a": "1", "b": "2"})]),
        (b'a,b\n"1\n2",3\n4,5\n', [(2, {"a": "1\n2", "b": "3"}), (4, {"a": "4", "b": "5"})]),
        (
            b"a,b\n1\n2,3",
            [(2, "the line has 1 cells, the first line names 2 columns"), (3, {"a": "2", "b": "3"})],
        ),
        (
            b'a,b\n"1"x,2\n3,4\n',
            [(2, "the line is not valid CSV (',' expected after '\"')"), (3, {"a": "3", "b": "4"})],
        ),
        (b"a,b\n1,2,3", [(2, "the line has 3 cells, the first line names 2 columns")]),
        (
            b'a,b\n"' + b"x" * 30 + b"\n" + b"x" * 30 + b'",2',
            [(2, "the line is not valid CSV (field larger than field limit (40))")],
        ),
        (b"a,b\n\xff,2\n", [(2, {"a": "\udcff", "b": "2"})]),
        (
            b"a,b\n" + b"x" * 50 + b",2\n3,4",
            [(2, "the line is not valid CSV (longer than 40 bytes)"), (3, {"a": "3", "b": "4"})],
        ),
    ],
)
def test_rows_and_mistakes_of_csv(content: bytes, expected: list[tuple[int, object]]) -> None:
    assert rows_or_mistakes(content, "rows.csv") == expected


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"plain text\n", "names one column alone"),
        (b"a,b,a\n1,2,3\n", "each one once"),
        (b"a,,b\n1,2,3\n", "each one once"),
    ],
)
def test_file_without_columns_is_refused(content: bytes, sentence: str) -> None:
    with pytest.raises(FileError, match=sentence):
        lines(content)


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("-", b' {"a": 1}', [{"a": 1}]),
        ("-", BOM + b"[1]", [[1]]),
        ("-", b"a,b\n1,2", [{"a": "1", "b": "2"}]),
        ("rows.txt", b"a,b\n1,2", [{"a": "1", "b": "2"}]),
        ("rows.ndjson", b"a,b", [None]),
        ("rows.json", b"a,b", [None]),
        ("rows.JSON", b"a,b", [None]),
        ("rows.TSV", b'{"a"\t1}\n1\t2', [{'{"a"': "1", "1}": "2"}]),
    ],
)
def test_extension_decides_the_format_before_the_first_character(
    name: str, content: bytes, rows: list[object]
) -> None:
    assert [line.row for line in lines(content, name)] == rows


def test_deeply_nested_line_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_files, "LINE_BYTES", 1_000_000)

    assert rows_or_mistakes(b"[" * 200_000 + b'\n{"a": 1}') == [(1, NOT_JSON), (2, {"a": 1})]


def test_decoder_has_the_first_try_at_each_line_and_sizes_are_those_of_the_lines() -> None:
    content = b'{"a": 1}\n{"mine": 2}\n'

    decoded = lines(content, decode=lambda line: "mine" if b"mine" in line else None)

    assert [(line.row, line.size) for line in decoded] == [({"a": 1}, 9), ("mine", 12)]
    assert [line.size for line in lines(b'a,b\n"1\n2",3\n4,5\n')] == [8, 4]
