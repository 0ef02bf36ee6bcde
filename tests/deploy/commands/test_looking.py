"""`dravo accounts`, `why`, `status` and `quarantine`: the commands that show the fleet's state."""

from typing import Any

import pytest

from shared import redis_client
from shared.refresh_queue import report_alive
from tests.deploy.commands.conftest import Dravo


def test_accounts_show_state_pauses_and_overdue_rows(fleet: Dravo, sql: Any) -> None:
    sql(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason) VALUES"
        " ('x', 'app', '', now() + interval '1 hour', 'The app limit is reached.'),"
        " ('tiktok', 'account', 'acc_other', now() + interval '1 hour', 'Not for this one.'),"
        " ('facebook', 'app', '', now() - interval '1 hour', 'Over.')"
    )

    by_id = {one["account_id"]: one for one in fleet("accounts", "--json").json}

    assert by_id["acc_x"]["state"] == "active"
    assert (by_id["acc_x"]["rows"], by_id["acc_x"]["overdue"]) == (3, 3)
    assert [pause["reason"] for pause in by_id["acc_x"]["pauses"]] == ["The app limit is reached."]
    assert by_id["acc_tiktok"]["pauses"] == by_id["acc_facebook"]["pauses"] == []
    sql("UPDATE accounts SET state = 'disconnected' WHERE account_id = 'acc_facebook'")
    sql("UPDATE refresh_state SET next_run_at = now() + interval '1 h' WHERE account_id = 'acc_linkedin'")
    for filters, accounts in (
        (("--workspace", "ws_2"), ["acc_tiktok"]),
        (("--platform", "x"), ["acc_x"]),
        (("--state", "disconnected"), ["acc_facebook"]),
        (("--platform", "linkedin", "--state", "disconnected"), []),
    ):
        assert [one["account_id"] for one in fleet("accounts", *filters, "--json").json] == accounts
    (waits,) = fleet("accounts", "--platform", "linkedin", "--json").json
    assert (waits["rows"] > 0, waits["overdue"], waits["oldest_overdue_at"]) == (True, 0, None)
    assert "acc_x" in fleet("accounts").out


def test_pause_of_one_account_shows_at_that_account_without_an_end(fleet: Dravo) -> None:
    fleet("pause", "--account", "acc_x", "--reason", "their wish")

    by_id = {one["account_id"]: one["pauses"] for one in fleet("accounts", "--json").json}

    assert [(one["paused_until"], one["reason"]) for one in by_id.pop("acc_x")] == [(None, "their wish")]
    assert set(map(tuple, by_id.values())) == {()}
    assert [one["paused_until"] for one in fleet("status", "--json").json["pauses"]] == [None]
    for command in (("accounts",), ("status",), ("pauses",), ("why", "post_3")):
        shown = fleet(*command).out
        assert "9999" not in shown
        assert ("resumed" if command == ("pauses",) else "until resumed") in shown, command


def test_status_lists_stuck_rows(fleet: Dravo, sql: Any) -> None:
    assert fleet("status", "--json").json["stuck"] == []
    assert "stuck: none" in fleet("status").out
    sql("UPDATE refresh_state SET next_run_at = NULL, reason = 'blocked' WHERE account_id = 'acc_tiktok'")

    (row,) = fleet("status", "--json").json["stuck"]

    assert (row["account_id"], row["platform"], row["breach"]) == ("acc_tiktok", "tiktok", "never_due")
    assert f"stuck: 1, see `dravo why`: {row['publication_id']} (never_due)" in fleet("status").out


def test_control_characters_in_a_name_do_not_reach_the_terminal(fleet: Dravo, sql: Any) -> None:
    sql("UPDATE accounts SET name = E'\\x1b]0;owned\\x07[red]' WHERE account_id = 'acc_x'")

    out = fleet("accounts").out

    assert "\x1b" not in out
    assert "[red]" in out


def test_lines_in_a_pipe_end_without_spaces(fleet: Dravo) -> None:
    lines = fleet("why", "post_3").out.splitlines()

    assert lines == [line.rstrip() for line in lines]


@pytest.mark.parametrize("identity", ["post_3", "there_3", "3"])
def test_why_finds_a_publication_by_any_of_its_ids(fleet: Dravo, sql: Any, identity: str) -> None:
    (publication_id,) = sql("SELECT id FROM publications WHERE post_id = 'post_3'")[0]

    result = fleet("why", str(publication_id) if identity == "3" else identity, "--json")

    assert result.code == 0
    document = result.json
    assert (document["post_id"], document["platform_post_id"], document["sync_status"]) == (
        "post_3",
        "there_3",
        "pending",
    )
    assert document["metrics"] == {}
    assert document["created_at"] == "2026-06-23T10:15:30Z"
    assert (document["reason"], document["attempts"]) == ("new", 0)
    assert document["next_run_at"].endswith("Z")
    assert document["advice"]


def test_why_is_an_array_when_several_publications_match(fleet: Dravo, sql: Any) -> None:
    sql("UPDATE publications SET post_id = 'post_3' WHERE post_id = 'post_6'")

    document = fleet("why", "post_3", "--json").json

    assert [one["platform_post_id"] for one in document] == ["there_3", "there_6"]
    assert "there_6" in fleet("why", "post_3").out


def test_why_of_an_unknown_id_is_one_sentence(fleet: Dravo) -> None:
    result = fleet("why", "99999999999999999999")

    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("dravo: no publication has the id 99999999999999999999: ")


@pytest.mark.parametrize(
    ("reason", "advised"),
    [
        ("quarantined", "dravo quarantine release"),
        ("stopped", "dravo resync --post post_3"),
        ("retry", "retried automatically"),
        ("claimed", "a worker is refreshing it"),
    ],
)
def test_why_advises_by_the_reason_of_the_next_run(fleet: Dravo, sql: Any, reason: str, advised: str) -> None:
    sql("UPDATE refresh_state SET reason = :reason", reason=reason)

    assert advised in fleet("why", "post_3", "--json").json["advice"]
    assert advised in fleet("why", "post_3").out


def test_why_says_that_the_owner_must_reconnect(fleet: Dravo, sql: Any) -> None:
    sql("UPDATE accounts SET state = 'requires_reconnect', state_reason = 'Log in to X again.'")

    assert fleet("why", "post_3", "--json").json["advice"].startswith("Log in to X again.")


def test_status_counts_rows_queues_and_workers(fleet: Dravo, sql: Any, redis_url: str) -> None:
    sql(
        "UPDATE refresh_state SET claimed_at = now(), next_run_at = now() + interval '1 minute'"
        " WHERE account_id = 'acc_tiktok'"
    )
    sql(
        "UPDATE refresh_state SET next_run_at = NULL, reason = 'quarantined'"
        " WHERE account_id = 'acc_facebook'"
    )
    sql("UPDATE refresh_state SET next_run_at = now() - interval '1 hour' WHERE account_id = 'acc_x'")
    sql(
        "UPDATE refresh_state SET next_run_at = now() - interval '9 hours' WHERE account_id = 'acc_instagram'"
    )
    sql(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " VALUES ('instagram', 'account', 'acc_instagram', now() + interval '1 hour', 'A limit.')"
    )
    client = redis_client.connect(redis_url)
    report_alive(client, "worker-1", 8)
    client.lpush("dramatiq:background", "a job")
    client.close()

    seen = fleet("status", "--json")

    assert seen.code == 0
    document = seen.json
    by_platform = {row["platform"]: row for row in document["rows"]}
    assert by_platform["x"]["pending"] == by_platform["x"]["due"] == by_platform["x"]["total"] == 3
    assert by_platform["instagram"]["oldest_overdue_at"] is None, "a pause explains it"
    assert (document["due"], document["claimed"], document["quarantined"]) == (5, 1, 1)
    assert 3_600 <= document["oldest_overdue_seconds"] < 3_700
    assert document["queues"] == {"interactive": 0, "background": 1}
    assert document["workers"] == [{"worker_id": "worker-1", "threads": 8}]
    assert document["redis_error"] is None
    assert document["accounts"]["active"] == 5
    (late,) = document["delays"]
    assert (late["workspace_id"], late["late"], document["delay_threshold_seconds"]) == ("ws_1", True, 900)
    assert 3_600 <= late["waiting_seconds"] < 3_700
    shown = fleet("status").out
    assert "oldest for 1 h" in shown
    assert "late: more than 15 min, as DravoOverdue" in shown


def test_status_lists_endpoints_that_fail_for_an_hour_or_are_disabled(fleet: Dravo, sql: Any) -> None:
    sql(
        "INSERT INTO webhook_endpoints (endpoint_id, workspace_id, url, host, sealed_secret, state,"
        " state_reason, failing_since, failure) SELECT 'whe_' || name, 'ws_1', '', '', '', state, reason,"
        " now() - age * interval '1 minute', failure FROM (VALUES ('well', 'enabled', NULL, NULL, NULL),"
        " ('lately', 'enabled', NULL, 59, 'HTTP 500'), ('long', 'enabled', NULL, 61, 'HTTP 503'),"
        " ('off', 'disabled', 'their wish', NULL, NULL)) e (name, state, reason, age, failure)"
    )

    listed = fleet("status", "--json").json["webhooks"]

    assert {one["endpoint_id"]: one["failure"] for one in listed} == {
        "whe_long": "HTTP 503",
        "whe_off": "their wish",
    }


@pytest.mark.parametrize("redis_url_now", ["redis://127.0.0.1:9/0", ""])
def test_status_without_redis_reports_unknown_not_zero(
    fleet: Dravo, monkeypatch: pytest.MonkeyPatch, redis_url_now: str
) -> None:
    monkeypatch.setenv("DRAVO_REDIS_URL", redis_url_now)

    result = fleet("status", "--json")

    assert result.code == 1
    assert result.json["queues"] is result.json["workers"] is None
    assert "unknown" in result.json["redis_error"]
    assert result.json["due"] == 7
    assert "workers: unknown" in fleet("status").out


def test_quarantined_publications_are_listed_and_released(fleet: Dravo, sql: Any) -> None:
    assert fleet("quarantine", "list", "--json").json == []
    sql(
        "UPDATE refresh_state SET next_run_at = NULL, reason = 'quarantined', attempts = 4, unfinished = 4"
        " WHERE account_id IN ('acc_x', 'acc_tiktok')"
    )
    assert len(fleet("quarantine", "list", "--json").json) == 4

    assert fleet("quarantine", "release", "post_3", "--json").json["released"] == 1
    (row,) = sql(
        "SELECT next_run_at <= now(), reason, attempts, unfinished FROM refresh_state r"
        " JOIN publications p ON p.id = r.publication_id WHERE post_id = 'post_3'"
    )
    assert tuple(row) == (True, "manual", 0, 0)

    assert fleet("quarantine", "release", "post_3").code == 1
    assert fleet("quarantine", "release", "--all", "--json").json["released"] == 3
    assert fleet("quarantine", "release", "--all", "--json").json["released"] == 0


def test_why_of_a_fresh_row_under_a_pause_says_when_it_really_runs_and_who_paused_it(
    fleet: Dravo, sql: Any
) -> None:
    sql("UPDATE refresh_state SET reason = 'stale', next_run_at = now() + interval '1 hour'")
    fleet("pause", "--platform", "x", "--reason", "their wish", "--until", "2099-01-01")

    document = fleet("why", "post_3", "--json").json

    assert document["next_run_at"] < document["runs_at"] == "2099-01-01T00:00:00Z"
    (hold,) = document["holds"]
    assert (hold["cause"], hold["scope"], hold["sentence"]) == ("operator_platform", "X", "their wish")
    assert " on " in hold["set_by"]
    assert document["advice"] == "An operator has paused it: `dravo resume --platform x` lifts it."
    assert "2099-01-01T00:00:00Z: their wish" in fleet("why", "post_3").out


def test_why_of_a_due_row_says_that_no_scheduler_reports(fleet: Dravo, sql: Any) -> None:
    sql(
        "INSERT INTO ops_summary (part, payload, counted_from, counted_at) VALUES"
        " ('live', '{}', now(), now() - interval '3 minutes')"
    )

    document = fleet("why", "post_3", "--json").json

    assert document["runs_at"] is None
    assert document["why_not_now"] == "No scheduler reports, so nothing is handed out"
    assert document["advice"] == "Start one: `dravo scheduler`."


@pytest.mark.parametrize(("name", "kind"), [("x", "platform"), ("acc_x", "account"), ("ws_1", "workspace")])
def test_why_of_a_subject_says_what_holds_it(fleet: Dravo, name: str, kind: str) -> None:
    fleet("pause", "--platform", "x", "--reason", "their wish")

    document = fleet("why", name, "--json").json

    assert (document["subject"], document["name"]) == (kind, name)
    assert [hold["sentence"] for hold in document["holds"]] == ["their wish"]
    assert "their wish" in fleet("why", name).out


def test_accounts_check_reports_what_stands_in_the_way(fleet: Dravo, sql: Any) -> None:
    sql("UPDATE accounts SET state = 'requires_reconnect', state_reason = 'Log in to X again.'")

    report, shown = fleet("accounts", "check", "acc_x", "--json"), fleet("accounts", "check", "acc_x")

    assert (report.code, shown.code) == (1, 1)
    assert (report.json["problem"], report.json["calls"]) == ("Log in to X again.", 0)
    assert "Log in to X again." in shown.out
    unknown = fleet("accounts", "check", "acc_nobody")
    assert (unknown.code, unknown.err) == (
        1,
        "dravo: no account has the id acc_nobody: see `dravo accounts`\n",
    )
