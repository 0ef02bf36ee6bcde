"""`dravo pause`, `resume`, `pauses` and `audit-log`."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from shared.accounts.states import reconnect
from shared.database import connect
from shared.quota.pauses import pause
from shared.vocabulary import PauseKind
from tests.claiming import claim_due
from tests.deploy.commands.conftest import Dravo


@pytest.fixture
def engine(database_url: str) -> Any:
    opened = connect(database_url, application="tests")
    yield opened
    opened.dispose()


def claimable(engine: Engine) -> set[str]:
    """Return the accounts that a scheduler would claim rows of, and claim none."""
    with engine.connect() as connection:
        claims = claim_due(connection)
        connection.rollback()
    return {job.account_id.removeprefix("acc_") for job in claims.jobs}


@pytest.mark.parametrize(
    ("scope", "remaining"),
    [
        (("--platform", "x"), {"instagram", "facebook", "linkedin", "tiktok"}),
        (("--account", "acc_facebook"), {"instagram", "x", "linkedin", "tiktok"}),
        (("--workspace", "ws_1"), {"tiktok"}),
        (("--workspace", "ws_1", "--platform", "linkedin"), {"instagram", "facebook", "x", "tiktok"}),
        (("--all",), set()),
    ],
)
def test_paused_accounts_are_not_claimed_until_resumed(
    fleet: Dravo, engine: Engine, scope: tuple[str, ...], remaining: set[str]
) -> None:
    assert fleet("pause", *scope, "--reason", "maintenance").code == 0
    assert claimable(engine) == remaining

    assert fleet("resume", *scope).code == 0
    assert len(claimable(engine)) == 5


def test_pause_ends_at_its_end(fleet: Dravo, engine: Engine, sql: Any) -> None:
    placed = fleet("pause", "--platform", "x", "--reason", "a while", "--for", "2h", "--json").json
    assert placed["paused_until"].endswith("Z")
    assert (placed["platform"], placed["kind"], placed["subject"], placed["accounts"]) == (
        "x",
        "operator_platform",
        "",
        1,
    )

    sql("UPDATE pauses SET paused_until = now()")

    assert "x" in claimable(engine)
    assert fleet("pauses", "--json").json == []


def test_pause_without_end_has_no_paused_until(fleet: Dravo) -> None:
    assert fleet("pause", "--all", "--reason", "  incident 7 ", "--json").json["paused_until"] is None

    (pause_,) = fleet("pauses", "--json").json

    assert (pause_["paused_until"], pause_["placed_by"], pause_["reason"]) == (None, "operator", "incident 7")
    assert "incident 7" in fleet("pauses").out


def test_reconnect_does_not_lift_an_operators_pause(fleet: Dravo, engine: Engine) -> None:
    fleet("pause", "--account", "acc_x", "--reason", "their wish")
    with engine.begin() as connection:
        now = connection.exec_driver_sql("SELECT now()").scalar_one()
        pause(
            connection,
            platform="x",
            kind=PauseKind.ACCOUNT,
            subject="acc_x",
            until=now + timedelta(minutes=1),
            reason="The limit is reached.",
        )
        reconnect(connection, "ws_1", "acc_x")

    (remaining,) = fleet("pauses", "--json").json
    assert (remaining["kind"], remaining["reason"]) == ("operator_account", "their wish")
    assert "x" not in claimable(engine)


def test_resume_keeps_pauses_of_platform_limits(fleet: Dravo, engine: Engine, sql: Any) -> None:
    sql(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " VALUES ('x', 'app', '', now() + interval '1 hour', 'The app limit is reached.')"
    )
    fleet("pause", "--platform", "x", "--reason", "maintenance")

    resumed = fleet("resume", "--all", "--json").json

    assert resumed["resumed"] == 1
    assert [one["reason"] for one in resumed["pauses"]] == ["The app limit is reached."]
    assert "x" not in claimable(engine)
    result = fleet("resume", "--platform", "x")
    assert (result.code, result.err.count("\n")) == (1, 1)


def test_rows_deferred_by_a_pause_are_due_when_it_is_lifted_or_shortened(
    fleet: Dravo, engine: Engine, sql: Any
) -> None:
    fleet("pause", "--platform", "x", "--reason", "maintenance")
    sql(  # as a worker does during the pause
        "UPDATE refresh_state SET reason = 'paused',"
        " next_run_at = (SELECT paused_until FROM pauses) + interval '12 seconds'"
        " WHERE account_id = 'acc_x'"
    )

    fleet("pause", "--platform", "x", "--reason", "shorter", "--for", "1h")
    assert sql("SELECT count(*) FROM refresh_state WHERE next_run_at > now()")[0][0] == 0
    fleet("resume", "--platform", "x")

    assert "x" in claimable(engine)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--all", "--platform", "x"),
        ("--account", "acc_x", "--workspace", "ws_1"),
        ("--platform", "x", "--for", "2 hours"),
        ("--platform", "x", "--for", "0s"),
        ("--platform", "x", "--until", "2020-01-01"),
        ("--platform", "x", "--until", "2999-01-01", "--for", "2h"),
        ("--platform", "myspace"),
        ("--platform", "x", "--account", ""),
        ("--platform", "x", "--workspace", ""),
        ("--platform", "x", "--until", ""),
        ("--platform", "x", "--for", ""),
    ],
)
def test_contradictory_pause_is_wrong_usage_and_not_logged(fleet: Dravo, arguments: tuple[str, ...]) -> None:
    result = fleet("pause", *arguments, "--reason", "maintenance")

    assert result.code == 2
    assert result.err.startswith("dravo: ")
    assert fleet("audit-log", "--json").json == []


def test_resume_of_an_empty_account_lifts_no_pause_of_the_platform(fleet: Dravo) -> None:
    fleet("pause", "--platform", "x", "--reason", "maintenance")

    assert fleet("resume", "--platform", "x", "--account", "").code == 2
    assert [one["platform"] for one in fleet("pauses", "--json").json] == ["x"]


def test_pause_requires_a_reason(fleet: Dravo) -> None:
    assert fleet("pause", "--all").code == 2
    assert fleet("pause", "--all", "--reason", " ").code == 2


@pytest.mark.parametrize(
    "scope", [("--account", "acc_nobody"), ("--account", "acc_x", "--platform", "tiktok")]
)
def test_pause_of_an_unknown_account_is_refused(fleet: Dravo, scope: tuple[str, ...]) -> None:
    assert fleet("pause", *scope, "--reason", "maintenance").code == 1
    assert fleet("pauses", "--json").json == []


def test_audit_log_holds_who_did_what_and_when(
    fleet: Dravo, sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "anna")
    fleet("pause", "--platform", "x", "--reason", "maintenance", "--for", "1h")
    fleet("resume", "--platform", "x", "--reason", "done")
    fleet("resync", "--platform", "tiktok", "--status", "pending")
    sql("UPDATE refresh_state SET next_run_at = NULL, reason = 'quarantined' WHERE account_id = 'acc_x'")
    fleet("quarantine", "release", "--all")

    released, resynced, resumed, paused = fleet("audit-log", "--json").json

    assert {one["via"] for one in (released, resynced, resumed, paused)} == {"command"}
    assert paused["operator"].startswith("anna on ")
    assert (paused["act"], paused["subject"]["platform"], paused["reason"]) == ("pause", "x", "maintenance")
    assert paused["subject"]["until"].endswith("Z")
    assert (resumed["act"], resumed["subject"], resumed["reason"]) == ("resume", {"platform": "x"}, "done")
    assert (resynced["act"], resynced["rows"]) == ("resync", 1)
    assert resynced["subject"] == {"platform": "tiktok", "status": "pending"}
    assert (released["act"], released["rows"]) == ("release", 3)
    assert all(one["acted_at"] and one["ended_at"] for one in (released, resynced, resumed, paused))
    assert "anna on " in fleet("audit-log").out
    assert len(fleet("audit-log", "--limit", "1", "--json").json) == 1


def test_stopped_resync_has_no_end_in_the_audit_log(fleet: Dravo, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("deploy.commands.resync.make_all_due", stop)

    assert fleet("resync", "--all").code == 130

    (entry,) = fleet("audit-log", "--json").json
    assert (entry["act"], entry["ended_at"], entry["subject"]) == ("resync", None, {"all": "all"})
    assert "not ended" in fleet("audit-log").out


SPENT = (
    "INSERT INTO pauses (platform, kind, subject, paused_until, reason) VALUES"
    " ('x', 'credits', '', now() + interval '1 hour', 'Our credits at X are used up.')"
)


@contextmanager
def probing_worker(sql: Any, answer: str) -> Iterator[None]:
    """Answer the probe of a stop as a worker does, as soon as the stop has ended."""
    stopping = threading.Event()

    def run() -> None:
        while not stopping.wait(0.02):
            sql(answer)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def test_try_reports_that_the_platform_accepts_calls_again(fleet: Dravo, sql: Any) -> None:
    sql(SPENT)
    sql("UPDATE refresh_state SET reason = 'paused', next_run_at = now() + interval '1 hour', priority = 0")
    with probing_worker(sql, "DELETE FROM pauses WHERE paused_until <= now()"):
        result = fleet("resume", "--platform", "x", "--try")

    assert (result.code, result.out) == (
        0,
        "x accepts calls again: everything that the stop held up is due now\n",
    )
    assert sql("SELECT count(*) FROM refresh_state WHERE reason = 'manual' AND priority = 1") == [(1,)]


def test_try_that_is_refused_exits_1_and_names_the_reason(fleet: Dravo, sql: Any) -> None:
    sql(SPENT)
    again = (
        "UPDATE pauses SET paused_until = now() + interval '1 hour', reason = 'Still none.'"
        " WHERE paused_until <= now()"
    )
    with probing_worker(sql, again):
        result = fleet("resume", "--platform", "x", "--try", "--json")

    assert result.code == 1
    assert result.json["refused"] == [{"platform": "x", "kind": "credits", "subject": ""}]
    assert [one["needs_operator"] for one in result.json["pauses"]] == [True]


def test_try_without_a_worker_ends_at_its_timeout(fleet: Dravo, sql: Any) -> None:
    sql(SPENT)

    result = fleet("resume", "--platform", "x", "--try", "--timeout", "0")

    assert result.code == 1
    assert result.err.startswith("dravo: no call to x was answered yet: ")


def test_resume_of_a_stop_leads_to_try_and_try_of_a_limit_is_refused(fleet: Dravo, sql: Any) -> None:
    assert "see `dravo pauses`" in fleet("resume", "--platform", "x", "--try").err
    sql(SPENT)

    assert "`--try` tests whether its cause is gone" in fleet("resume", "--platform", "x").err
    assert fleet("resume", "--workspace", "ws_1", "--try").code == 2


def test_why_of_a_stopped_row_says_what_an_operator_must_do(fleet: Dravo, sql: Any) -> None:
    sql(SPENT)
    sql(
        "UPDATE refresh_state SET reason = 'paused', next_run_at = now() + interval '1 hour'"
        " WHERE account_id = 'acc_x'"
    )

    assert fleet("why", "post_3", "--json").json["advice"] == (
        "An operator must add credits, or raise the cap, in X's developer portal;"
        " then `dravo resume --platform x --try`."
    )
