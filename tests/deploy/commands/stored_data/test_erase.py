"""`dravo erase` counts first, then erases what it counted, and prints a certificate that names nobody."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from shared import database, redis_client
from shared.erasure.ledger import Ledger
from shared.erasure.run import step
from tests.deploy.commands.conftest import Dravo

Sql = Callable[..., list[Any]]
ERASE = ("erase", "--account", "acc_x", "--reason", "ticket 7", "--yes", "--json")


@pytest.fixture
def erase_all(database_url: str, redis_url: str) -> Iterator[Callable[..., None]]:
    """Run the open erasures, as a scheduler does."""
    engine: Engine = database.connect(database_url, application="tests", pool_size=2)
    client = redis_client.connect(redis_url)

    def run(ledger: Ledger | None = None) -> None:
        while step(engine, client, ledger) is not None:
            pass

    yield run
    engine.dispose()
    client.close()


def test_dry_run_counts_and_changes_nothing(fleet: Dravo, sql: Sql) -> None:
    before = sql("SELECT * FROM accounts ORDER BY 1")

    counted = fleet("erase", "--account", "acc_x", "--json")

    assert counted.json["dry_run"] is True
    assert counted.json["rows"]["publications"] == counted.json["rows"]["refresh_state"] > 0
    assert counted.json["rows"]["accounts"] == 1
    assert sql("SELECT * FROM accounts ORDER BY 1") == before
    assert "dry run" in fleet("erase", "--workspace", "ws_1").out


def test_erasure_is_recorded_and_its_certificate_names_nobody(
    fleet: Dravo, sql: Sql, erase_all: Callable[..., None]
) -> None:
    requested = fleet(*ERASE)
    code = requested.json["code"]
    assert "DRAVO_ERASURE_LEDGER" in requested.err
    assert sql("SELECT FROM accounts WHERE account_id = 'acc_x' AND sealed_access_token IS NOT NULL") == []

    erase_all()

    printed = fleet("erase", "certificate", code)
    assert (printed.code, "nothing is left" in printed.out, "acc_x" in printed.out) == (0, True, False)
    (listed,) = fleet("erase", "list", "--json").json
    assert (listed["code"], listed["phase"], listed["scan"]["found"]) == (code, "ended", {})
    assert listed["rows"]["publications"] == requested.json["rows"]["publications"]
    (entry,) = [one for one in fleet("audit-log", "--json").json if one["act"] == "erase"]
    assert (entry["subject"], entry["reason"]) == ({"erasure": code, "kind": "account"}, "ticket 7")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "one of --account"),
        (("--account", "acc_x", "--post", "p"), 2, "one of --account"),
        (("--account", "acc_x", "--yes"), 2, "--reason"),
        (("--account", "acc_x", "--wait"), 2, "--wait needs --yes"),
        (("--account", "acc_nobody"), 1, "no account has the id acc_nobody"),
        (("--workspace", "ws_nobody"), 1, "no workspace"),
        (("--post", "nothing"), 1, "no publication"),
        (("certificate", "era_0"), 1, "no erasure has the code"),
    ],
)
def test_wrong_usage_is_one_sentence(
    operator: Dravo, arguments: tuple[str, ...], code: int, said: str
) -> None:
    result = operator("erase", *arguments)

    assert (result.code, said in result.err) == (code, True), result.err


def test_wait_ends_with_the_certificate(
    fleet: Dravo, erase_all: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.commands.stored_data.erase.time.sleep", lambda _: erase_all())

    result = fleet(*ERASE, "--wait")

    assert (result.code, result.json["phase"]) == (0, "ended")


def test_wait_says_so_when_no_scheduler_goes_on(
    fleet: Dravo, erase_all: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    polls = iter(range(100))

    def begin_late(_: float) -> None:
        if next(polls) == 50:
            erase_all()

    monkeypatch.setattr("deploy.commands.stored_data.erase.time.sleep", begin_late)

    result = fleet(*ERASE, "--wait")

    assert (result.code, result.json["phase"]) == (0, "ended")
    assert result.err.count("nothing has been erased for 30 s") == 1


def test_wait_fails_when_something_is_left(
    fleet: Dravo, sql: Sql, erase_all: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    sql("CREATE TABLE notes (note TEXT)")
    sql("INSERT INTO notes VALUES ('acc_x')")
    scans = iter(range(9))

    def erase_again(_: float) -> None:
        erase_all()
        sql(
            "UPDATE erasures SET resume_after = now(),"
            " scan = jsonb_set(scan, '{scanned_at}', to_jsonb(CAST(:n AS text)))",
            n=str(next(scans)),
        )

    monkeypatch.setattr("deploy.commands.stored_data.erase.time.sleep", erase_again)

    result = fleet(*ERASE, "--wait")

    assert (result.code, result.json["scan"]["found"]) == (1, {"notes": 1})


def test_replay_erases_what_a_restored_backup_brought_back(
    fleet: Dravo,
    sql: Sql,
    erase_all: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    ledger = tmp_path / "erasures.jsonl"
    assert "DRAVO_ERASURE_LEDGER" in fleet("erase", "replay").err
    monkeypatch.setenv("DRAVO_ERASURE_LEDGER", str(ledger))
    sql("CREATE TABLE backup AS SELECT * FROM accounts WHERE account_id = 'acc_x'")
    code = fleet(*ERASE).json["code"]
    sql("CREATE SCHEMA apart; ALTER TABLE backup SET SCHEMA apart")
    erase_all(Ledger(ledger))
    sql("DELETE FROM erasures")
    sql("INSERT INTO accounts SELECT * FROM apart.backup")

    replayed = fleet("erase", "replay", "--json")

    assert (replayed.code, replayed.json) == (0, {"replayed": 1, "codes": [code], "left": []})
    assert sql("SELECT FROM accounts WHERE account_id = 'acc_x'") == []
    assert fleet("erase", "replay").out == "nothing to replay\n"


def test_list_of_meta_erases_the_accounts_of_its_users_at_meta_alone(
    fleet: Dravo, sql: Sql, tmp_path: Path
) -> None:
    listed = tmp_path / "deleted-users.csv"
    listed.write_text('\ufeffuser_id\n"7001",2026\n7002\n7003\n7004\n \n\u0667\n', "utf-8")
    for account_id, column, user in (
        ("acc_instagram", "platform_user_id", "7001"),
        ("acc_facebook", "platform_account_id", "7002"),
        ("acc_x", "platform_user_id", "7003"),
    ):
        sql(f"UPDATE accounts SET {column} = '{user}' WHERE account_id = '{account_id}'")

    counted = fleet("erase", "import-meta", str(listed), "--json")

    assert counted.json == {"users": 4, "accounts": 2, "codes": [], "dry_run": True}
    assert sql("SELECT FROM erasures") == []
    assert "4 users, 2 accounts of theirs (dry run" in fleet("erase", "import-meta", str(listed)).out
    assert fleet("audit-log", "--json").json == []
    erased = fleet("erase", "import-meta", str(listed), "--yes", "--json").json
    assert (erased["accounts"], len(erased["codes"]), erased["dry_run"]) == (2, 2, False)
    rows = sql("SELECT code, source, subject ->> 'account_id' FROM erasures ORDER BY 3")
    assert [tuple(row)[1:] for row in rows] == [("meta", "acc_facebook"), ("meta", "acc_instagram")]
    assert {row[0] for row in rows} == set(erased["codes"])
    (entry,) = fleet("audit-log", "--json").json
    assert (entry["act"], entry["subject"]["erasures"], entry["reason"]) == (
        "erase",
        erased["codes"],
        "Meta's list",
    )
    assert fleet("erase", "import-meta", str(listed), "--yes", "--json").json["accounts"] == 0


def test_post_that_two_workspaces_have_is_named_by_its_publication(fleet: Dravo, sql: Sql) -> None:
    ((one,), (other,)) = sql(
        "SELECT min(id) FROM publications GROUP BY workspace_id ORDER BY workspace_id LIMIT 2"
    )
    sql(f"UPDATE publications SET post_id = 'post_of_both' WHERE id IN ({one}, {other})")

    refused = fleet("erase", "--post", "post_of_both")

    assert (refused.code, "several workspaces" in refused.err) == (1, True)
    assert fleet("erase", "--post", str(one), "--json").json["rows"]["publications"] == 1
