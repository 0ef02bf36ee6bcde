"""Account states: a refusal blocks all rows at once, a reconnect makes them due in order."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.accounts import states
from shared.ingestion import importer
from shared.refresh_state.notifications import DUE_CHANNEL
from tests.harness import Harness
from tests.servers import connect


def require(harness: Harness, version: int | None = None, workspace: str = "ws_1") -> int | None:
    with harness.engine.begin() as connection:
        return states.require_reconnect(connection, workspace, "acc_1", "Reconnect.", token_version=version)


def reconnect(harness: Harness) -> int:
    with harness.engine.begin() as connection:
        return states.reconnect(connection, "ws_1", "acc_1")


def test_require_reconnect_blocks_all_rows_of_the_account(harness: Harness) -> None:
    ids = harness.publications(harness.account("acc_1"), 3)
    other = harness.publications(harness.account("acc_2"))[0]

    assert require(harness) == 3

    rows = [harness.state(one) for one in ids]
    assert {(row.sync_status, row.error_message, row.next_run_at) for row in rows} == {
        ("requires_reconnect", "Reconnect.", None)
    }
    assert {row.claim_seq for row in rows} == {1}, "whoever has them now is fenced off"
    assert harness.state(other).sync_status == "pending"


def test_refusal_of_older_tokens_changes_nothing(harness: Harness) -> None:
    harness.publications(harness.account("acc_1", token_version=5))

    assert require(harness, version=4) is None
    assert require(harness, version=5) == 1
    assert require(harness, version=5) is None, "once is enough"


def test_another_workspace_cannot_change_the_account(harness: Harness) -> None:
    harness.publications(harness.account("acc_1"))

    assert require(harness, workspace="ws_2") is None


def test_reconnect_makes_rows_due_the_stalest_first(harness: Harness) -> None:
    ids = harness.publications(harness.account("acc_1"), 3)
    for days, one in zip((1, 9, None), ids, strict=True):
        at = datetime.now(UTC) - timedelta(days=days) if days else None
        harness.execute(
            "UPDATE post_analytics SET last_updated_at = :at WHERE publication_id = :id", at=at, id=one
        )
    require(harness)

    assert reconnect(harness) == 3

    order = harness.execute(
        "SELECT publication_id FROM refresh_state WHERE next_run_at <= now() ORDER BY next_run_at"
    )
    assert [row[0] for row in order] == [ids[2], ids[1], ids[0]]
    assert harness.execute("SELECT state, state_reason FROM accounts") == [("active", None)]


def test_disconnected_account_keeps_its_values_and_explains_itself(harness: Harness) -> None:
    publication = harness.publications(harness.account("acc_1"))[0]
    harness.execute("UPDATE post_analytics SET metrics = '{\"views\": 7}'")
    with harness.engine.begin() as connection:
        states.disconnect(connection, "ws_1", "acc_1")

    row = harness.state(publication)
    assert (row.sync_status, row.metrics, row.next_run_at) == ("requires_reconnect", {"views": 7}, None)
    assert harness.execute("SELECT state FROM accounts") == [("disconnected",)]


def test_disconnected_account_loses_its_tokens_in_the_same_transaction(harness: Harness) -> None:
    later = datetime.now(UTC) + timedelta(days=1)
    tokens: dict[str, Any] = {
        "sealed_refresh_token": "sealed",
        "token_expires_at": later,
        "refresh_token_expires_at": later,
    }
    harness.account("acc_1", token_version=4, token_minted_at=later, **tokens)
    harness.account("acc_2", state="requires_reconnect", **tokens)

    with harness.engine.begin() as connection:
        for account_id in ("acc_1", "acc_2"):
            states.disconnect(connection, "ws_1", account_id)

    stored = harness.execute(
        "SELECT sealed_access_token, sealed_refresh_token, token_expires_at, refresh_token_expires_at,"
        " token_minted_at FROM accounts"
    )
    assert {tuple(row) for row in stored} == {(None,) * 5}
    versions = harness.execute("SELECT token_version FROM accounts ORDER BY account_id")
    assert [tuple(row) for row in versions] == [(5,), (2,)], "a renewal under way stores nothing"


def test_account_that_requires_a_reconnect_keeps_its_tokens(harness: Harness) -> None:
    harness.account("acc_1")

    require(harness)

    assert harness.execute("SELECT sealed_access_token IS NOT NULL FROM accounts") == [(True,)]


@pytest.mark.parametrize("connected", [True, False], ids=["published_before", "published_while_disconnected"])
def test_row_without_id_stays_stopped_after_a_reconnect(harness: Harness, *, connected: bool) -> None:
    harness.account("acc_1")
    row = {"post_id": "post_1", "account_id": "acc_1", "created_at": "2026-06-23T10:15:30Z"}
    with harness.engine.begin() as connection:
        if connected:
            importer.import_publications(connection, [row])
        states.disconnect(connection, "ws_1", "acc_1")
        if not connected:
            importer.import_publications(connection, [row])
    ((publication,),) = harness.execute("SELECT id FROM publications")
    assert harness.state(publication).sync_status == "requires_reconnect"

    assert reconnect(harness) == 0

    state = harness.state(publication)
    assert (state.reason, state.next_run_at) == ("stopped", None)
    assert (state.sync_status, state.error_message) == ("pending", None)
    assert (state.outcome, state.outcome_detail, state.attempted_at) == (None, None, None)


PAST = datetime(2026, 1, 15, 12, tzinfo=UTC)
STATE: dict[str, Any] = {
    "next_run_at": PAST,
    "claim_seq": 4,
    "claimed_at": PAST,
    "priority": 1,
    "attempts": 3,
    "unfinished": 2,
    "missing_since": PAST,
    "reason": "claimed",
}
STATE_COLUMNS = ("next_run_at", "claimed_at", "claim_seq", "priority", "attempts", "unfinished", "reason")


def state(harness: Harness, one: int) -> tuple[Any, ...]:
    return tuple(harness.state(one)._mapping[name] for name in STATE_COLUMNS)


def account(harness: Harness) -> tuple[Any, ...]:
    row = harness.execute("SELECT * FROM accounts WHERE account_id = 'acc_1'")[0]
    return row.state, row.state_reason, row.state_changed_at > PAST


def test_account_that_becomes_inactive_blocks_its_rows_and_no_others(harness: Harness) -> None:
    harness.account("acc_1")
    harness.account("acc_2")
    mine, poison = harness.publications("acc_1", 2, **STATE)
    (other,) = harness.publications("acc_2", **STATE)
    harness.execute("UPDATE refresh_state SET reason = 'quarantined' WHERE publication_id = :id", id=poison)
    harness.execute("UPDATE accounts SET state_changed_at = :at", at=PAST)
    harness.execute("UPDATE post_analytics SET metrics = '{\"views\": 7}', warnings = '{\"a: b\"}'")

    assert require(harness) == 1

    row = harness.state(mine)
    assert state(harness, mine) == (None, None, 5, 0, 0, 0, "blocked")
    assert (row.missing_since, row.metrics, row.warnings) == (PAST, {"views": 7}, ["a: b"])
    assert (row.sync_status, row.error_message) == ("requires_reconnect", "Reconnect.")
    assert (row.outcome, row.outcome_detail) == ("requires_reconnect", "Reconnect.")
    assert row.attempted_at is not None
    untouched = (PAST, PAST, 4, 1, 3, 2)
    assert (state(harness, poison), state(harness, other)) == (
        (*untouched, "quarantined"),
        (*untouched, "claimed"),
    )
    assert harness.state(poison).sync_status == harness.state(other).sync_status == "pending"
    assert account(harness) == ("requires_reconnect", "Reconnect.", True)
    assert harness.execute("SELECT state, state_changed_at FROM accounts WHERE account_id = 'acc_2'") == [
        ("active", PAST)
    ]


def disconnect(harness: Harness, workspace: str = "ws_1") -> int | None:
    with harness.engine.begin() as connection:
        return states.disconnect(connection, workspace, "acc_1")


def test_allowed_transitions_between_account_states(harness: Harness) -> None:
    harness.account("acc_1")

    def follow(change: Callable[[Harness], int | None]) -> str:
        change(harness)
        account_state: str = harness.execute("SELECT state FROM accounts")[0].state
        return account_state

    assert [follow(one) for one in (disconnect, require, reconnect)] == [
        "disconnected",
        "disconnected",
        "active",
    ]
    assert [follow(one) for one in (require, disconnect, reconnect)] == [
        "requires_reconnect",
        "disconnected",
        "active",
    ]
    assert disconnect(harness, "ws_2") is None
    assert follow(reconnect) == "active"


def test_reconnect_unblocks_blocked_rows_only(harness: Harness) -> None:
    harness.account("acc_1", state="requires_reconnect", state_reason="Reconnect.", state_changed_at=PAST)
    harness.account("acc_2")
    blocked, stopped, poison = harness.publications("acc_1", 3, **{**STATE, "next_run_at": None})
    for one, reason in ((blocked, "blocked"), (stopped, "stopped"), (poison, "quarantined")):
        harness.execute(
            "UPDATE refresh_state SET reason = :reason WHERE publication_id = :id", reason=reason, id=one
        )
    (other,) = harness.publications("acc_2", **{**STATE, "next_run_at": None, "reason": "blocked"})
    harness.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " SELECT 'instagram', kind, subject, now() + interval '1 hour', ''"
        " FROM (VALUES ('account', 'acc_1'), ('account', 'acc_2'), ('operator_account', 'acc_1'))"
        " AS p (kind, subject)"
    )

    with harness.engine.begin() as connection:
        now = connection.exec_driver_sql("SELECT now()").scalar_one()
        assert states.reconnect(connection, "ws_2", "acc_1") == 0
        assert states.reconnect(connection, "ws_1", "acc_1") == 1

    assert state(harness, blocked) == (now - timedelta(seconds=31.536), None, 5, 1, 0, 0, "reconnected")
    assert [state(harness, one)[2:] for one in (stopped, poison, other)] == [
        (4, 1, 3, 2, "stopped"),
        (4, 1, 3, 2, "quarantined"),
        (4, 1, 3, 2, "blocked"),
    ]
    assert account(harness) == ("active", None, True)
    remaining = harness.execute("SELECT kind, subject FROM pauses ORDER BY kind")
    assert [tuple(row) for row in remaining] == [("account", "acc_2"), ("operator_account", "acc_1")]


def test_reconnect_notifies_the_scheduler_if_rows_become_due(harness: Harness, database_url: str) -> None:
    harness.publications(harness.account("acc_1"))
    with connect(database_url) as listener:
        listener.execute(f"LISTEN {DUE_CHANNEL}")
        for change in (require, reconnect, require):
            change(harness)
        harness.execute("UPDATE refresh_state SET reason = 'quarantined'")
        reconnect(harness)
        listener.execute(f"NOTIFY {DUE_CHANNEL}, 'end'")
        said = [notice.payload for notice in listener.notifies(timeout=30, stop_after=2)]

    assert said == ["", "end"]
