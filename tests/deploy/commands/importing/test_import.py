"""`dravo import`: refused lines are reported by number and the others stored; a stop names the last one."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from deploy import row_files
from deploy.commands.importing import chunks
from deploy.commands.importing.duplicates import PostsByItem
from deploy.row_files import Line
from shared.ingestion.importer import ImportResult, import_publications
from shared.ingestion.rows import parse_publication
from tests.deploy.commands.conftest import Dravo, write_lines
from tests.deploy.commands.importing.example_rows import ACCOUNT, INSTANT, publication


def test_importing_a_file_again_changes_nothing(with_account: Dravo, tmp_path: Path) -> None:
    file = str(write_lines(tmp_path / "p.jsonl", [publication(number) for number in range(3)]))

    first = with_account("import", "publications", file, "--json")
    second = with_account("import", "publications", file, "--json")

    assert first.code == second.code == 0
    assert first.json == {
        "accepted": 3,
        "unchanged": 0,
        "refused": 0,
        "errors": [],
        "unknown_fields": [],
        "dry_run": False,
    }
    assert second.json["unchanged"] == 3


def test_refused_lines_are_reported_and_the_others_stored(
    with_account: Dravo, tmp_path: Path, sql: Any
) -> None:
    file = tmp_path / "p.jsonl"
    lines = [
        b"\xef\xbb\xbf" + json.dumps(publication(1)).encode(),
        b"",
        b"{broken",
        b'{"text": "\xff"}',
        b"x" * 1_048_577,
        json.dumps(publication(2, created_at="soon")).encode(),
        b"[" * 100_000,
        b'{"post_id": NaN}',
        json.dumps(publication(3)).encode(),
    ]
    file.write_bytes(b"\r\n".join(lines))

    result = with_account("import", "publications", str(file), "--json")

    assert result.code == 1
    assert result.json["accepted"] == 2
    assert result.json["errors"] == [
        {"line": 3, "message": "the line is not one JSON object"},
        {"line": 4, "message": "the line is not valid UTF-8"},
        {"line": 5, "message": "the line is longer than 1048576 bytes"},
        {"line": 6, "message": f"{INSTANT}; got 'soon'"},
        {"line": 7, "message": "the line is not one JSON object"},
        {"line": 8, "message": "the line is not one JSON object"},
    ]
    assert sql("SELECT count(*) FROM publications")[0][0] == 2


def test_without_json_refused_lines_go_to_stderr(with_account: Dravo, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "p.jsonl", [publication(1), {}, publication(2)])

    result = with_account("import", "publications", str(file))

    assert result.code == 1
    assert result.err == "line 2: created_at is required\n"
    assert result.out == "2 accepted, 0 unchanged, 1 refused\n"


def test_dry_run_stores_nothing(with_account: Dravo, tmp_path: Path, sql: Any) -> None:
    file = write_lines(tmp_path / "p.jsonl", [publication(1), {}])

    result = with_account("import", "publications", str(file), "--dry-run", "--json")

    assert result.code == 1
    assert (result.json["accepted"], result.json["refused"], result.json["dry_run"]) == (1, 1, True)
    assert sql("SELECT count(*) FROM publications")[0][0] == 0


def test_only_small_files_take_the_interactive_lane(with_account: Dravo, tmp_path: Path, sql: Any) -> None:
    with_account("import", "publications", str(write_lines(tmp_path / "few.jsonl", [publication(1)])))
    many = [publication(number) for number in range(2, 1_200)]
    with_account("import", "publications", str(write_lines(tmp_path / "many.jsonl", many)))

    assert sql("SELECT priority, count(*) FROM refresh_state GROUP BY 1 ORDER BY 1") == [(0, 1_198), (1, 1)]


def test_lines_are_counted_over_chunks(
    with_account: Dravo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.commands.importing.chunks.CHUNK", 1_000)
    rows: list[object] = [publication(number) for number in range(2_500)]
    rows[2_400] = {}

    result = with_account("import", "publications", str(write_lines(tmp_path / "p.jsonl", rows)), "--json")

    assert result.json["accepted"] == 2_499
    assert result.json["errors"][0]["line"] == 2_401


def test_no_message_contains_a_token(operator: Dravo, tmp_path: Path) -> None:
    row = ACCOUNT | {"platform": ACCOUNT["access_token"]}

    result = operator("import", "accounts", str(write_lines(tmp_path / "a.jsonl", [row])))

    assert result.code == 1
    assert str(ACCOUNT["access_token"]) not in result.out + result.err


def test_lost_connection_error_names_the_last_stored_line(
    with_account: Dravo, tmp_path: Path, sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = str(write_lines(tmp_path / "p.jsonl", [publication(number) for number in range(1_500)]))

    def failing(connection: Connection, rows: list[object], *, priority: int) -> ImportResult:
        if sql("SELECT count(*) FROM publications")[0][0]:
            sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dravo'")
        return import_publications(connection, rows, priority=priority)

    monkeypatch.setattr("deploy.commands.importing.chunks.CHUNK", 1_000)
    monkeypatch.setattr("deploy.commands.importing.imports.import_publications", failing)
    result = with_account("import", "publications", file)
    assert result.code == 1
    assert (
        "the connection to PostgreSQL was lost after line 1000: at least 1000 rows are stored" in result.err
    )
    assert len(result.err.splitlines()) == 1

    monkeypatch.undo()
    assert sql("SELECT count(*) FROM publications")[0][0] == 1_000


def test_ctrl_c_prints_the_last_stored_line(
    with_account: Dravo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> ImportResult:
        raise KeyboardInterrupt

    monkeypatch.setattr("deploy.commands.importing.imports.import_publications", interrupted)

    result = with_account("import", "publications", str(write_lines(tmp_path / "p.jsonl", [publication(1)])))

    assert result.code == 130
    assert result.err == "dravo: stopped after line 0; run the same command again to import the rest\n"


def test_chunk_that_is_being_stored_at_ctrl_c_is_counted(
    with_account: Dravo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sql: Any
) -> None:
    def interrupted(*_: object) -> Iterator[Line]:
        yield from (Line(number, publication(number)) for number in (1, 2))
        raise KeyboardInterrupt

    monkeypatch.setattr("deploy.row_files.read", interrupted)
    monkeypatch.setattr("deploy.commands.importing.chunks.CHUNK", 2)

    result = with_account("import", "publications", str(write_lines(tmp_path / "p.jsonl", [])))

    assert (result.code, sql("SELECT count(*) FROM publications")[0][0]) == (130, 2)
    assert result.err == "dravo: stopped after line 2; run the same command again to import the rest\n"


def test_chunk_of_long_lines_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 100)
    monkeypatch.setattr(chunks, "CHUNK", 3)
    sizes = [40, 40, 40, 1, 1, 1, 1, 1_000, 1]
    lines = (Line(number, {}, size=size) for number, size in enumerate(sizes, start=1))

    assert [len(chunk) for chunk in iter(lambda: chunks._chunk(lines), [])] == [3, 3, 2, 1]


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_lines_of_both_formats_have_sizes(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"posts.{suffix}"
    text = "post_id,url\nä1,u\npost_2,u\n" if suffix == "csv" else '{"a": 1}\n{"a": 20}\n'
    file.write_text(text)

    with file.open("rb") as source:
        sizes = [line.size for line in row_files.read(source, file.name)]

    assert sizes == ([6, 9] if suffix == "csv" else [9, 10])


def test_importing_accounts_requires_a_secret_key(operator: Dravo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DRAVO_SECRET_KEYS")

    result = operator("import", "accounts", "accounts.jsonl")

    assert (result.code, result.err) == (1, "dravo: DRAVO_SECRET_KEYS: is required and not set\n")


def test_import_needs_a_file_or_an_example(operator: Dravo) -> None:
    for arguments in ((), ("file.jsonl", "--example", "x")):
        assert operator("import", "accounts", *arguments).code == 2


def test_second_post_with_the_platform_id_of_another_one_is_refused_by_line(
    with_account: Dravo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sql: Any
) -> None:
    monkeypatch.setattr("deploy.commands.importing.chunks.CHUNK", 1)
    same = [
        publication(1),
        publication(1, post_id="post_other"),
        publication(1, text="Again"),
        publication(2),
    ]
    path = write_lines(tmp_path / "posts.jsonl", same)

    result = with_account("import", "publications", str(path), "--json")

    assert (result.code, result.json["accepted"], result.json["refused"]) == (1, 3, 1)
    (error,) = result.json["errors"]
    assert error["line"] == 2
    assert error["message"].startswith("platform_post_id is that of another post in line 1")
    assert {post for (post,) in sql("SELECT post_id FROM publications")} == {"post_1", "post_2"}


@pytest.mark.parametrize(
    ("first", "second", "mistaken"),
    [
        ({"publish_id": "p1"}, {"publish_id": "p1"}, True),
        ({"publish_id": "p1"}, {"platform_post_id": "p1"}, False),
        ({"platform_post_id": "p1"}, {"platform_post_id": "p1", "account_id": "acc_2"}, False),
        ({"platform_post_id": "p1"}, {"platform_post_id": "p2"}, False),
        ({"platform_post_id": ""}, {"platform_post_id": None}, False),
        ({"platform_post_id": 7}, {"platform_post_id": "7"}, True),
    ],
)
def test_item_of_a_platform_belongs_to_one_post(
    first: dict[str, object], second: dict[str, object], *, mistaken: bool
) -> None:
    posts = PostsByItem()
    given_rows: tuple[dict[str, object], ...] = (first, {"platform_post_id": "between"}, second)
    rows = [
        parse_publication(publication(n, platform_post_id=None) | given) for n, given in enumerate(given_rows)
    ]
    checked = [posts.checked(Line(number, row)) for number, row in enumerate(rows)]

    assert [line.mistake is not None for line in checked] == [False, False, mistaken]
    refused = Line(8, rows[2], "malformed")
    assert posts.checked(refused) is refused
