"""The formats of import files: JSON Lines, CSV, their fields, and examples of them."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy.commands.importing import fields as import_fields
from shared.ingestion.rows import ACCOUNT_FIELDS, PUBLICATION_FIELDS
from shared.vocabulary import Platform
from tests.deploy.commands.conftest import Dravo, write_lines
from tests.deploy.commands.importing.example_rows import publication


def test_csv_accepts_quoted_line_breaks_and_empty_cells(
    with_account: Dravo, tmp_path: Path, sql: Any
) -> None:
    file = tmp_path / "p.csv"
    file.write_text(
        "\ufeffpost_id,account_id,platform_post_id,text,created_at\n"
        'post_1,acc_1,7500000000000000001,"two\nlines, one cell",2026-06-23\n'
        "post_2,acc_1,,,2026-06-23\n"
        "\n"
        "post_3,acc_1\n"
        "post_4,acc_?,1,,2026-06-23\n",
        encoding="utf-8",
    )

    result = with_account("import", "publications", str(file), "--json")

    assert result.json["accepted"] == 2
    assert result.json["errors"] == [
        {"line": 6, "message": "the line has 2 cells, the first line names 5 columns"},
        {"line": 7, "message": "account_id is not known: import its account first"},
    ]
    assert sql("SELECT text FROM publications ORDER BY post_id") == [("two\nlines, one cell",), (None,)]


def test_csv_accepts_scopes_and_other_delimiters(operator: Dravo, tmp_path: Path, sql: Any) -> None:
    file = tmp_path / "accounts.csv"
    file.write_text(
        "account_id;workspace_id;platform;platform_account_id;access_token;scopes\n"
        "acc_1;ws_1;x;1;tok;tweet.read users.read\n",
        encoding="utf-8",
    )

    assert operator("import", "accounts", str(file)).code == 0

    assert sql("SELECT scopes FROM accounts") == [(["tweet.read", "users.read"],)]


@pytest.mark.parametrize("header", ["post_id,post_id,account_id", "post_id,,account_id"])
def test_csv_with_malformed_header_is_one_sentence(with_account: Dravo, tmp_path: Path, header: str) -> None:
    (tmp_path / "p.csv").write_text(header + "\n1,2,3\n", encoding="utf-8")

    result = with_account("import", "publications", str(tmp_path / "p.csv"))

    assert (result.code, len(result.err.splitlines())) == (1, 1)
    assert "names its columns" in result.err


def test_text_that_is_no_table_is_refused(with_account: Dravo, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("remember the milk\n", encoding="utf-8")

    result = with_account("import", "publications", str(tmp_path / "notes"))

    assert (result.code, result.err.count("\n")) == (1, 1)
    assert "no CSV" in result.err


def test_empty_file_is_accepted(with_account: Dravo, tmp_path: Path) -> None:
    for name in ("empty.jsonl", "empty.csv", "empty"):
        (tmp_path / name).touch()
        assert with_account("import", "publications", str(tmp_path / name)).code == 0


@pytest.mark.parametrize(
    ("content", "refused"),
    [
        (b'{"account_id": "acc_?"}\n', 1),
        (b"post_id,account_id,created_at\np,acc_?,2026-06-23\n", 1),
        (b"\xef\xbb\xbf", 0),
        (b"", 0),
    ],
)
def test_format_of_stdin_follows_its_first_character(
    operator: Dravo, monkeypatch: pytest.MonkeyPatch, content: bytes, refused: int
) -> None:
    reading, writing = os.pipe()
    os.write(writing, content)
    os.close(writing)

    with os.fdopen(reading) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        result = operator("import", "publications", "-", "--json")

    assert result.json["refused"] == refused


@pytest.mark.parametrize(
    ("file", "code", "sentence"),
    [("nothing.jsonl", 1, "No such file or directory"), (".", 2, "is a directory")],
)
def test_unreadable_file_is_one_sentence(with_account: Dravo, file: str, code: int, sentence: str) -> None:
    result = with_account("import", "publications", file)

    assert result.code == code
    assert sentence in result.err
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize("platform", Platform)
def test_example_rows_can_be_imported(operator: Dravo, tmp_path: Path, platform: Platform) -> None:
    example = operator("import", "accounts", "--example", platform.value)
    path = tmp_path / "accounts.jsonl"
    path.write_text(example.out)

    result = operator("import", "accounts", str(path), "--dry-run", "--json").json

    assert (example.code, result["refused"], result["unknown_fields"]) == (0, 0, [])
    assert result["accepted"] == len(
        operator("import", "accounts", "--example", platform.value, "--json").json
    )
    page = next(
        Path(import_fields.__file__).parents[3].glob(f"worker/adapters/**/{platform.value}.md")
    ).read_text()
    assert all(line in page for line in example.out.splitlines())


def test_unknown_field_is_named_once_with_the_nearest(with_account: Dravo, tmp_path: Path) -> None:
    rows = [{**publication(number), "headline": "Hi", "campaign": None} for number in (1, 2)]
    path = write_lines(tmp_path / "posts.jsonl", rows)

    shown = with_account("import", "publications", str(path))

    assert shown.code == 0
    assert shown.err.count("headline") == shown.err.count("campaign") == 1
    assert "line 1: the field headline is unknown and ignored; the nearest is" in shown.err
    unknown = with_account("import", "publications", str(path), "--json").json["unknown_fields"]
    assert {one["field"] for one in unknown} == {"headline", "campaign"}


def test_help_lists_every_field(dravo: Dravo) -> None:
    assert tuple(import_fields.ACCOUNTS) == ACCOUNT_FIELDS
    assert tuple(import_fields.PUBLICATIONS) == PUBLICATION_FIELDS
    for command, fields in (("accounts", ACCOUNT_FIELDS), ("publications", PUBLICATION_FIELDS)):
        shown = dravo("import", command, "--help").out
        assert {name for name in fields if f"{name}:" not in shown} == set()
