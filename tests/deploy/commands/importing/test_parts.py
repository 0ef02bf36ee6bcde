"""Parts: the workspaces of a chunk are stored in two transactions, with the result of one."""

from pathlib import Path
from typing import Any

import pytest

from deploy.commands.importing import parts
from shared.ingestion.rows import PublicationRow, parse_publication
from tests.deploy.commands.conftest import Dravo, write_lines
from tests.deploy.commands.importing.example_rows import ACCOUNT, publication


def row(number: int, account: int) -> PublicationRow:
    return parse_publication(publication(number, account_id=f"acc_{account}"))


def workspaces(*numbers: int) -> dict[str, str]:
    return {f"acc_{account}": f"ws_{workspace}" for account, workspace in enumerate(numbers)}


def test_each_workspace_has_one_part_and_parts_have_about_the_same_size() -> None:
    rows = [row(number, account) for number, account in enumerate((0, 1, 2, 3, 0, 0, 4, 9))]

    assert parts.split(rows, workspaces(1, 2, 1, 3, 2)) == [[0, 2, 4, 5], [1, 3, 6, 7]]


def test_rows_of_one_workspace_are_in_one_part() -> None:
    assert parts.split([row(0, 0), row(1, 1)], workspaces(1, 1)) == [[0, 1]]


def test_post_of_two_workspaces_keeps_all_rows_in_one_part() -> None:
    assert parts.split([row(0, 0), row(1, 1), row(0, 1)], workspaces(1, 2)) == [[0, 1, 2]]


@pytest.fixture
def with_two_workspaces(with_account: Dravo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dravo:
    other = ACCOUNT | {"account_id": "acc_2", "workspace_id": "ws_2", "platform_account_id": "78"}
    assert with_account("import", "accounts", str(write_lines(tmp_path / "b.jsonl", [other]))).code == 0
    monkeypatch.setattr(parts, "SMALLEST", 1)
    return with_account


def test_parts_store_what_one_transaction_would_and_name_the_lines_of_both(
    with_two_workspaces: Dravo, tmp_path: Path, sql: Any
) -> None:
    rows = [
        publication(number, account_id=f"acc_{1 + number % 2}", **fields)
        for number, fields in enumerate(({}, {}, {"workspace_id": "ws_2"}, {"workspace_id": "ws_1"}, {}, {}))
    ]
    path = str(write_lines(tmp_path / "posts.jsonl", [*rows, publication(9, account_id="acc_?")]))

    dry = with_two_workspaces("import", "publications", path, "--json", "--dry-run").json
    assert sql("SELECT count(*) FROM publications")[0][0] == 0
    first = with_two_workspaces("import", "publications", path, "--json").json
    again = with_two_workspaces("import", "publications", path, "--json").json

    assert [error["line"] for error in first["errors"]] == [3, 4, 7]
    assert (dry["accepted"], first["accepted"], again["unchanged"]) == (4, 4, 4)
    assert dry["errors"] == first["errors"] == again["errors"]
    assert sql("SELECT workspace_id, count(*), count(DISTINCT xmin::text) FROM publications GROUP BY 1") in (
        [("ws_1", 2, 1), ("ws_2", 2, 1)],
        [("ws_2", 2, 1), ("ws_1", 2, 1)],
    )
    assert sql("SELECT count(DISTINCT xmin::text) FROM publications") == [(2,)]


def test_post_stays_in_the_workspace_of_its_first_line(
    with_two_workspaces: Dravo, tmp_path: Path, sql: Any
) -> None:
    rows = [publication(1), publication(2, account_id="acc_2"), publication(1, account_id="acc_2")]

    result = with_two_workspaces(
        "import", "publications", str(write_lines(tmp_path / "p.jsonl", rows)), "--json"
    )

    assert [error["line"] for error in result.json["errors"]] == [3]
    assert sql("SELECT post_id, workspace_id FROM publications ORDER BY 1") == [
        ("post_1", "ws_1"),
        ("post_2", "ws_2"),
    ]
