"""`dravo export` writes everything but secrets, and `dravo import archive` reads it back."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.commands.conftest import Dravo

Sql = Callable[..., list[Any]]
NUMBERS = (
    "SELECT p.post_id, p.text, n.metrics, n.last_updated_at, s.taken_at, s.reads, s.metrics"
    " FROM publications p JOIN post_analytics n ON n.publication_id = p.id"
    " LEFT JOIN (SELECT publication_id, taken_at, reads, metrics FROM snapshots UNION ALL"
    " SELECT publication_id, taken_at, reads, metrics FROM daily_snapshots UNION ALL"
    " SELECT publication_id, taken_at, reads, metrics FROM last_snapshots) s ON s.publication_id = p.id"
    " WHERE p.account_id = 'acc_x' ORDER BY p.post_id, s.taken_at"
)


@pytest.fixture
def filled(fleet: Dravo, sql: Sql) -> Dravo:
    """Give an account at X with values, readings of today, of a removed month and of years ago."""
    at = "2026-11-20T10:00:00Z"
    sql(f"UPDATE post_analytics SET metrics = '{{\"like_count\": 7}}', last_updated_at = '{at}'")
    sql("CREATE TABLE daily_snapshots_2026_01 PARTITION OF daily_snapshots"
        " FOR VALUES FROM ('2026-01-01T00:00:00Z') TO ('2026-02-01T00:00:00Z')")  # fmt: skip
    for table, day in (("daily_snapshots", "2026-01-05"), ("last_snapshots", "2024-03-01")):
        sql(f"INSERT INTO {table} SELECT id, '{day}', '{day}', 2, 'synced', '{{}}' FROM publications"
            " WHERE account_id = 'acc_x'")  # fmt: skip
    sql(f"INSERT INTO snapshots SELECT id, '{at}', now(), 3, 9, 'synced', '{{\"like_count\": 7}}'"
        " FROM publications")  # fmt: skip
    return fleet


def test_archive_has_no_secret_and_is_read_back(filled: Dravo, sql: Sql, tmp_path: Path) -> None:
    archive = tmp_path / "acc_x.jsonl"
    sealed = sql("SELECT sealed_access_token FROM accounts WHERE account_id = 'acc_x'")[0][0]
    before = sql(NUMBERS)

    assert filled("export", "--account", "acc_x", "--output", str(archive)).code == 0

    content = archive.read_text()
    assert (sealed in content, "token" in content, archive.stat().st_mode & 0o077) == (False, False, 0)
    kinds = [json.loads(line)["type"] for line in content.splitlines()]
    assert (kinds[0], kinds.count("reading")) == ("account", 3 * kinds.count("publication"))
    sql("DELETE FROM publications WHERE account_id = 'acc_x'")
    sql("DELETE FROM accounts WHERE account_id = 'acc_x'")
    imported = filled("import", "archive", str(archive), "--json")
    assert imported.err == ""
    assert (imported.code, imported.json["accepted"]) == (0, len(kinds))
    assert sql(NUMBERS) == before
    account = sql("SELECT state, state_reason FROM accounts WHERE account_id = 'acc_x'")[0]
    assert (account.state, "archive" in account.state_reason) == ("disconnected", True)
    again = filled("import", "archive", str(archive), "--json").json
    assert (again["accepted"], again["unchanged"]) == (0, len(kinds))

    connected = filled("import", "accounts", str(tmp_path / "accounts.jsonl"), "--json").json

    assert connected["accepted"] == 1
    (row,) = sql("SELECT state FROM accounts WHERE account_id = 'acc_x'")
    assert row.state == "active"
    rows = sql("SELECT next_run_at <= now() AS due FROM refresh_state WHERE account_id = 'acc_x'")
    assert [row.due for row in rows] == [True] * kinds.count("publication")


def test_workspace_is_exported_without_the_others(filled: Dravo) -> None:
    lines = [json.loads(line) for line in filled("export", "--workspace", "ws_2").out.splitlines()]

    assert {line["account_id"] for line in lines} == {"acc_tiktok"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"type": "note"}, "type must be"),
        ({"type": "reading", "grain": "week"}, "grain must be"),
        ({"type": "reading", "grain": "raw", "account_id": "a"}, "post_id is required"),
        ({"type": "account"}, "account_id is required"),
    ],
)
def test_line_that_is_none_of_an_archive_is_refused(
    operator: Dravo, tmp_path: Path, line: dict[str, str], said: str
) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text(json.dumps({"platform": "x", **line}) + "\n")

    result = operator("import", "archive", str(file), "--json")

    assert (result.code, result.json["refused"]) == (1, 1)
    assert said in result.json["errors"][0]["message"]


def test_wrong_usage(operator: Dravo, tmp_path: Path, fleet: Dravo) -> None:
    assert operator("export").code == 2
    assert operator("export", "--account", "acc_nobody").code == 1
    (tmp_path / "there").write_text("")
    assert "exists" in fleet("export", "--account", "acc_x", "--output", str(tmp_path / "there")).err


def test_list_of_meta_erases_the_accounts_of_its_users(fleet: Dravo, sql: Sql, tmp_path: Path) -> None:
    sql("UPDATE accounts SET platform_user_id = '4711' WHERE account_id IN ('acc_facebook', 'acc_x')")
    file = tmp_path / "users.csv"
    file.write_text('user_id\n"4711"\n4712,2026-11-01\n')

    counted = fleet("erase", "import-meta", str(file), "--json").json
    assert counted == {"users": 2, "accounts": 1, "codes": [], "dry_run": True}
    erased = fleet("erase", "import-meta", str(file), "--yes", "--json").json

    assert len(erased["codes"]) == 1
    marked = sql("SELECT account_id FROM accounts WHERE erasure IS NOT NULL")
    assert [row.account_id for row in marked] == ["acc_facebook"]
