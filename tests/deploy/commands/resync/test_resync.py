"""`dravo resync`: selection, cost and rows made due."""

import json
import time
from typing import Any

import pytest

from shared.database import connect
from shared.operations import audit_log
from shared.operations.bulk_resync import Pace, unfinished_selection
from shared.operations.selection import Selection
from tests.deploy.commands.conftest import Dravo
from tests.deploy.commands.resync.resynced import due, ids_of_x


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--post", "post_2"], ["post_2"]),
        (["--post", "there_2"], ["post_2"]),
        (["--post", "post_2", "--post", "post_3"], ["post_2", "post_3"]),
        (["--account", "acc_x"], ["post_3", "post_6", "post_7"]),
        (["--platform", "tiktok"], ["post_5"]),
        (["--workspace", "ws_2"], ["post_5"]),
        (["--status", "failed"], []),
        (["--status", "synced", "--platform", "x", "--from", "2026-06-26"], ["post_6", "post_7"]),
        (["--to", "2026-06-21"], ["post_1"]),
        (["--to", "2026-06-21T10:15:30Z"], ["post_1"]),
        (["--to", "2026-06-21T10:15:29.999999Z"], []),
        (["--from", "2026-06-27T12:15:30+02:00"], ["post_7"]),
        (["--all"], [f"post_{number}" for number in range(1, 8)]),
    ],
)
def test_filters_select_the_rows_made_due(
    synced: Dravo, sql: Any, arguments: list[str], expected: list[str]
) -> None:
    result = synced("resync", *arguments, "--json")

    assert result.code == 0
    assert result.json["rows"] == result.json["made_due"] == len(expected)
    assert due(sql) == expected


def test_unknown_post_is_one_sentence(synced: Dravo) -> None:
    result = synced("resync", "--post", "post_unknown", "--json")

    assert (result.code, result.out) == (1, "")
    assert "post_unknown" in result.err


def test_small_selection_takes_the_interactive_lane(synced: Dravo, sql: Any) -> None:
    synced("resync", "--post", "post_3")

    (row,) = sql("SELECT reason, priority FROM refresh_state WHERE next_run_at <= now()")
    assert tuple(row) == ("manual", 1)


def test_report_in_words_names_what_was_done_and_nothing_that_is_zero(synced: Dravo) -> None:
    made_due = synced("resync", "--account", "acc_x")
    dry = synced("resync", "--account", "acc_x", "--dry-run", "--wait")

    assert (made_due.code, len(made_due.out.splitlines()), made_due.err) == (0, 1, "")
    assert made_due.out.startswith("3 rows, 1 calls, ")
    assert dry.out == made_due.out.rstrip("\n") + " (dry run: nothing was made due)\n"
    assert dry.err == ""


def test_dry_run_prints_rows_calls_and_dollars_and_changes_nothing(synced: Dravo, sql: Any) -> None:
    sql(
        "UPDATE post_analytics SET last_updated_at = now()"
        " WHERE publication_id = (SELECT id FROM publications WHERE post_id = 'post_3')"
    )

    result = synced("resync", "--all", "--dry-run", "--json")

    assert result.code == 0
    # One call an account; of X's three posts one was read today (UTC) and is free.
    assert (result.json["rows"], result.json["calls"], result.json["dollars"]) == (7, 5, 0.01)
    assert (result.json["synced"], result.json["failed"], result.json["dry_run"]) == (0, 0, True)
    assert due(sql) == []


def test_estimated_calls_follow_the_batch_sizes(synced: Dravo, sql: Any) -> None:
    sql(
        "WITH added AS (INSERT INTO publications"
        " (workspace_id, post_id, account_id, platform, platform_post_id, created_at)"
        " SELECT workspace_id, 'more_' || n, account_id, platform, 'more_' || n, now()"
        " FROM accounts, generate_series(1, 100) n RETURNING id, account_id),"
        " analytics AS (INSERT INTO post_analytics (publication_id) SELECT id FROM added)"
        " INSERT INTO refresh_state (publication_id, account_id) SELECT id, account_id FROM added"
    )

    def calls(account_id: str) -> int:
        return int(synced("resync", "--account", account_id, "--dry-run", "--json").json["calls"])

    assert calls("acc_x") == 2
    assert calls("acc_facebook") == calls("acc_instagram") == 3
    assert calls("acc_tiktok") == calls("acc_linkedin") == 6
    sql("UPDATE accounts SET kind = 'member' WHERE account_id = 'acc_linkedin'")
    sql("UPDATE accounts SET login = 'instagram' WHERE account_id = 'acc_instagram'")
    assert calls("acc_linkedin") == 606
    assert calls("acc_instagram") == 5


def test_rows_that_cannot_be_refreshed_are_reported(synced: Dravo, sql: Any) -> None:
    sql("UPDATE accounts SET state = 'requires_reconnect' WHERE account_id = 'acc_x'")

    some = synced("resync", "--all", "--json")
    none = synced("resync", "--account", "acc_x", "--json")

    assert (some.code, some.json["unavailable"], some.json["failed"]) == (0, 3, 3)
    assert "3 rows cannot be refreshed" in synced("resync", "--all").err
    assert (none.code, none.json["failed"]) == (1, 3)
    assert len(due(sql)) == 4


@pytest.mark.parametrize(
    "wrong",
    [
        ("--platform", "x", "--from", ""),
        ("--all", "--to", ""),
        ("--from", "2026-06-24", "--to", "2026-06-23"),
    ],
)
def test_empty_or_reversed_dates_are_wrong_usage(synced: Dravo, sql: Any, wrong: tuple[str, ...]) -> None:
    before = due(sql)

    assert synced("resync", *wrong).code == 2
    assert due(sql) == before


def test_after_continues_a_stopped_run(synced: Dravo, sql: Any) -> None:
    ids = sql("SELECT id, post_id FROM publications ORDER BY id")

    result = synced("resync", "--all", "--after", str(ids[4].id), "--json")

    assert result.json["rows"] == 2
    assert due(sql) == sorted(row.post_id for row in ids[5:])


def test_large_selection_takes_the_background_lane(
    synced: Dravo, sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.commands.resync.INTERACTIVE_UP_TO", 3)

    synced("resync", "--all")

    assert sql("SELECT DISTINCT reason, priority FROM refresh_state") == [("manual", 0)]


def test_rate_limits_rows_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    pace = Pace(50)

    for _ in range(100):
        pace.spend(pace.step)

    assert now[0] == pytest.approx(100 * pace.step / 50)


def test_ctrl_c_prints_where_to_continue(synced: Dravo, sql: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)

    result = synced("resync", "--all", "--rate", "4/s")

    assert result.code == 130
    made_due = due(sql)
    assert len(made_due) == 1
    (first,) = sql("SELECT id FROM publications WHERE post_id = :post", post=made_due[0])[0]
    assert f"--after {first} " in result.err


@pytest.mark.parametrize("subject", [{"platform": "x"}, {"platform": ["x"], "status": ["synced", "failed"]}])
def test_resync_that_the_page_began_is_resumed(synced: Dravo, sql: Any, subject: dict[str, Any]) -> None:
    first = sql("SELECT id FROM publications WHERE post_id = 'post_3'")[0].id
    ((act_id,),) = sql(
        "INSERT INTO operator_acts (operator, via, act, subject, rows, last)"
        " VALUES ('Anna', 'page', 'resync', CAST(:subject AS jsonb), 1, :last) RETURNING act_id",
        subject=json.dumps(subject),
        last=first,
    )

    result = synced("resync", "--resume", str(act_id), "--json")

    assert (result.code, result.json["rows"], result.json["made_due"]) == (0, 2, 2)
    assert due(sql) == ["post_6", "post_7"]
    assert sql("SELECT rows, ended_at IS NOT NULL FROM operator_acts") == [(3, True)]
    assert synced("resync", "--resume", str(act_id)).code == 1
    assert synced("resync", "--resume", str(act_id), "--all").code == 2


def test_interrupted_resync_is_recorded_so_that_the_page_can_resume_it(
    synced: Dravo, sql: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)

    result = synced("resync", "--account", "acc_x", "--rate", "4/s")

    engine = connect(database_url, application="tests", pool_size=1)
    with engine.connect() as connection:
        (entry,) = audit_log.entries(connection)
    engine.dispose()
    assert (entry.rows, entry.ended_at, entry.last) == (1, None, min(ids_of_x(sql)))
    assert unfinished_selection(entry) == Selection(accounts=("acc_x",))
    assert f"--resume {entry.entry_id} " in result.err
