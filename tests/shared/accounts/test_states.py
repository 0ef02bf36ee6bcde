"""An account's state: one refusal stops all of its rows at once, a reconnection brings them back in order."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.accounts import states
from shared.ingestion import importer
from shared.refresh_state.make_due import DUE_CHANNEL
from tests.scenarios import House
from tests.servers import connect


def require(home: House, version: int | None = None, workspace: str = "ws_1") -> int | None:
    with home.engine.begin() as connection:
        return states.require_reconnect(connection, workspace, "acc_1", "Reconnect.", token_version=version)


def reconnect(home: House) -> int:
    with home.engine.begin() as connection:
        return states.reconnect(connection, "ws_1", "acc_1")


def test_all_rows_of_the_account_are_marked_and_taken_out_of_work(home: House) -> None:
    ids = home.publications(home.account("acc_1"), 3)
    other = home.publications(home.account("acc_2"))[0]

    assert require(home) == 3

    rows = [home.state(one) for one in ids]
    assert {(row.sync_status, row.error_message, row.next_run_at) for row in rows} == {
        ("requires_reconnect", "Reconnect.", None)
    }
    assert {row.claim_seq for row in rows} == {1}, "whoever has them now is fenced off"
    assert home.state(other).sync_status == "pending"


def test_a_refusal_of_an_older_pair_is_no_verdict(home: House) -> None:
    home.publications(home.account("acc_1", token_version=5))

    assert require(home, version=4) is None
    assert require(home, version=5) == 1
    assert require(home, version=5) is None, "once is enough"


def test_another_workspace_cannot_touch_it(home: House) -> None:
    home.publications(home.account("acc_1"))

    assert require(home, workspace="ws_2") is None


def test_a_reconnection_makes_the_rows_due_the_stalest_first(home: House) -> None:
    ids = home.publications(home.account("acc_1"), 3)
    for days, one in zip((1, 9, None), ids, strict=True):
        at = datetime.now(UTC) - timedelta(days=days) if days else None
        home.execute(
            "UPDATE post_analytics SET last_updated_at = :at WHERE publication_id = :id", at=at, id=one
        )
    require(home)

    assert reconnect(home) == 3

    order = home.execute(
        "SELECT publication_id FROM refresh_state WHERE next_run_at <= now() ORDER BY next_run_at"
    )
    assert [row[0] for row in order] == [ids[2], ids[1], ids[0]]
    assert home.execute("SELECT state, state_reason FROM accounts") == [("active", None)]


def test_a_disconnected_account_keeps_its_values_and_says_so(home: House) -> None:
    publication = home.publications(home.account("acc_1"))[0]
    home.execute("UPDATE post_analytics SET metrics = '{\"views\": 7}'")
    with home.engine.begin() as connection:
        states.disconnect(connection, "ws_1", "acc_1")

    row = home.state(publication)
    assert (row.sync_status, row.metrics, row.next_run_at) == ("requires_reconnect", {"views": 7}, None)
    assert home.execute("SELECT state FROM accounts") == [("disconnected",)]


@pytest.mark.parametrize("connected", [True, False], ids=["published_before", "published_while_disconnected"])
def test_after_a_reconnection_a_row_without_an_id_waits_for_it_and_asks_for_nothing_else(
    home: House, *, connected: bool
) -> None:
    home.account("acc_1")
    row = {"post_id": "post_1", "account_id": "acc_1", "created_at": "2026-06-23T10:15:30Z"}
    with home.engine.begin() as connection:
        if connected:
            importer.take_publications(connection, [row])
        states.disconnect(connection, "ws_1", "acc_1")
        if not connected:
            importer.take_publications(connection, [row])
    ((publication,),) = home.execute("SELECT id FROM publications")
    assert home.state(publication).sync_status == "requires_reconnect"

    assert reconnect(home) == 0

    state = home.state(publication)
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


def state(home: House, one: int) -> tuple[Any, ...]:
    return tuple(home.state(one)._mapping[name] for name in STATE_COLUMNS)


def account(home: House) -> tuple[Any, ...]:
    row = home.execute("SELECT * FROM accounts WHERE account_id = 'acc_1'")[0]
    return row.state, row.state_reason, row.state_changed_at > PAST


def test_an_account_that_leaves_the_active_state_takes_its_rows_along_and_no_others(home: House) -> None:
    home.account("acc_1")
    home.account("acc_2")
    mine, poison = home.publications("acc_1", 2, **STATE)
    (other,) = home.publications("acc_2", **STATE)
    home.execute("UPDATE refresh_state SET reason = 'quarantined' WHERE publication_id = :id", id=poison)
    home.execute("UPDATE accounts SET state_changed_at = :at", at=PAST)
    home.execute("UPDATE post_analytics SET metrics = '{\"views\": 7}', warnings = '{\"a: b\"}'")

    assert require(home) == 1

    row = home.state(mine)
    assert state(home, mine) == (None, None, 5, 0, 0, 0, "blocked")
    assert (row.missing_since, row.metrics, row.warnings) == (PAST, {"views": 7}, ["a: b"])
    assert (row.sync_status, row.error_message) == ("requires_reconnect", "Reconnect.")
    assert (row.outcome, row.outcome_detail) == ("requires_reconnect", "Reconnect.")
    assert row.attempted_at is not None
    untouched = (PAST, PAST, 4, 1, 3, 2)
    assert (state(home, poison), state(home, other)) == (
        (*untouched, "quarantined"),
        (*untouched, "claimed"),
    )
    assert home.state(poison).sync_status == home.state(other).sync_status == "pending"
    assert account(home) == ("requires_reconnect", "Reconnect.", True)
    assert home.execute("SELECT state, state_changed_at FROM accounts WHERE account_id = 'acc_2'") == [
        ("active", PAST)
    ]


def disconnect(home: House, workspace: str = "ws_1") -> int | None:
    with home.engine.begin() as connection:
        return states.disconnect(connection, workspace, "acc_1")


def test_which_state_follows_which(home: House) -> None:
    home.account("acc_1")

    def follow(change: Callable[[House], int | None]) -> str:
        change(home)
        found: str = home.execute("SELECT state FROM accounts")[0].state
        return found

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
    assert disconnect(home, "ws_2") is None
    assert follow(reconnect) == "active"


def test_a_reconnection_brings_back_what_was_blocked_and_nothing_else(home: House) -> None:
    home.account("acc_1", state="requires_reconnect", state_reason="Reconnect.", state_changed_at=PAST)
    home.account("acc_2")
    blocked, stopped, poison = home.publications("acc_1", 3, **{**STATE, "next_run_at": None})
    for one, reason in ((blocked, "blocked"), (stopped, "stopped"), (poison, "quarantined")):
        home.execute(
            "UPDATE refresh_state SET reason = :reason WHERE publication_id = :id", reason=reason, id=one
        )
    (other,) = home.publications("acc_2", **{**STATE, "next_run_at": None, "reason": "blocked"})
    home.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " SELECT 'instagram', kind, subject, now() + interval '1 hour', ''"
        " FROM (VALUES ('account', 'acc_1'), ('account', 'acc_2'), ('operator_account', 'acc_1'))"
        " AS p (kind, subject)"
    )

    with home.engine.begin() as connection:
        now = connection.exec_driver_sql("SELECT now()").scalar_one()
        assert states.reconnect(connection, "ws_2", "acc_1") == 0
        assert states.reconnect(connection, "ws_1", "acc_1") == 1

    assert state(home, blocked) == (now - timedelta(seconds=31.536), None, 5, 1, 0, 0, "reconnected")
    assert [state(home, one)[2:] for one in (stopped, poison, other)] == [
        (4, 1, 3, 2, "stopped"),
        (4, 1, 3, 2, "quarantined"),
        (4, 1, 3, 2, "blocked"),
    ]
    assert account(home) == ("active", None, True)
    kept = home.execute("SELECT kind, subject FROM pauses ORDER BY kind")
    assert [tuple(row) for row in kept] == [("account", "acc_2"), ("operator_account", "acc_1")]


def test_a_reconnection_wakes_the_scheduler_when_rows_are_due_again(home: House, database_url: str) -> None:
    home.publications(home.account("acc_1"))
    with connect(database_url) as listener:
        listener.execute(f"LISTEN {DUE_CHANNEL}")
        for change in (require, reconnect, require):
            change(home)
        home.execute("UPDATE refresh_state SET reason = 'quarantined'")
        reconnect(home)
        listener.execute(f"NOTIFY {DUE_CHANNEL}, 'end'")
        said = [notice.payload for notice in listener.notifies(timeout=5, stop_after=2)]

    assert said == ["", "end"]
