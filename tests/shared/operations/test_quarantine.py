"""Releasing publications from quarantine."""

from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from shared.accounts import states
from shared.operations.quarantine import release_from_quarantine
from shared.refresh_state.notifications import DUE_CHANNEL
from shared.refresh_state.unquarantine import accounts_of_quarantined
from tests.harness import Harness
from tests.servers import connect
from tests.shared.operations.rows import ADA, LATER, NOW, deferred_row, log


def test_unquarantine_makes_quarantined_rows_due_and_no_other(harness: Harness) -> None:
    harness.account("acc_1")
    harness.account("acc_dead", state="requires_reconnect")
    poisoned: dict[str, Any] = {
        "until": None,
        "reason": "quarantined",
        "attempts": 5,
        "unfinished": 6,
        "claim_seq": 4,
        "claimed_at": NOW,
    }
    first, second, third = (deferred_row(harness, "acc_1", **poisoned) for _ in range(3))
    dead = deferred_row(harness, "acc_dead", **poisoned)
    stopped = deferred_row(harness, "acc_1", until=None, reason="stopped")
    in_flight = deferred_row(harness, "acc_1", until=LATER, reason="quarantined")

    with harness.engine.begin() as connection:
        now = connection.exec_driver_sql("SELECT now()").scalar_one()
        assert release_from_quarantine(connection, ADA, [second, first, first, stopped, in_flight]) == [
            first,
            second,
        ]
        assert release_from_quarantine(connection, ADA, []) == []
    states = {one: harness.state(one) for one in (first, third, stopped, in_flight)}
    row = states[first]
    assert (row.next_run_at, row.reason, row.attempts, row.unfinished, row.claimed_at, row.claim_seq) == (
        now,
        "manual",
        0,
        0,
        None,
        5,
    )
    assert [states[one].reason for one in (third, stopped, in_flight)] == [
        "quarantined",
        "stopped",
        "quarantined",
    ]

    with harness.engine.begin() as connection:
        assert release_from_quarantine(connection, ADA, None) == [third, dead]
    assert (harness.state(dead).next_run_at, harness.state(dead).reason) == (None, "blocked")
    assert log(harness) == [
        ("release", {"publications": [first, second]}, None, 2, True),
        ("release", {"all": "all"}, None, 2, True),
    ]


QUARANTINED: dict[str, Any] = {"until": None, "reason": "quarantined"}


def test_released_row_of_an_account_that_may_not_be_read_says_what_to_do(harness: Harness) -> None:
    harness.account("acc_1", state_reason="An old reason.")
    harness.account("acc_dead", state="requires_reconnect", state_reason="Connect it again.")
    harness.account("acc_off", state="disconnected")
    accounts = ("acc_1", "acc_dead", "acc_off")
    rows = [deferred_row(harness, account, **QUARANTINED) for account in accounts]
    waiting = deferred_row(harness, "acc_dead", until=None, reason="blocked")

    with harness.engine.begin() as connection:
        assert release_from_quarantine(connection, ADA, None) == rows

    statuses = [
        (harness.state(one).sync_status, harness.state(one).error_message) for one in (*rows, waiting)
    ]
    active, dead, off, untouched = statuses
    assert active == untouched == ("pending", None)
    assert dead == ("requires_reconnect", "Connect it again.")
    assert off[0] == "requires_reconnect"
    assert off[1]


def test_release_notifies_the_scheduler_once_rows_are_released(harness: Harness, database_url: str) -> None:
    harness.account("acc_1")
    deferred_row(harness, "acc_1", **QUARANTINED)
    with connect(database_url) as listener:
        listener.execute(f"LISTEN {DUE_CHANNEL}")
        for _ in range(2):
            with harness.engine.begin() as connection:
                release_from_quarantine(connection, ADA, None)
        listener.execute(f"NOTIFY {DUE_CHANNEL}, 'end'")
        received = [notice.payload for notice in listener.notifies(timeout=30, stop_after=2)]

    assert received == ["", "end"]


def test_release_waits_for_a_change_of_the_account_s_state(harness: Harness) -> None:
    one = deferred_row(harness, harness.account("acc_1"), until=None, reason="quarantined")
    for ids in ([one], None):
        with harness.engine.begin() as changing, harness.engine.begin() as connection:
            states.lock(changing, ["acc_1"])
            connection.exec_driver_sql("SET LOCAL lock_timeout = '200ms'")
            with pytest.raises(OperationalError, match="lock timeout"):
                release_from_quarantine(connection, ADA, ids)


def test_release_locks_only_the_accounts_of_the_rows_that_it_releases(harness: Harness) -> None:
    for account in ("acc_1", "acc_2", "acc_3"):
        harness.account(account)
    one, _ = (deferred_row(harness, account, **QUARANTINED) for account in ("acc_1", "acc_2"))
    other = deferred_row(harness, "acc_3", until=None, reason="stopped")

    with harness.engine.connect() as connection:
        assert accounts_of_quarantined(connection, [one, other]) == ["acc_1"]
        assert sorted(accounts_of_quarantined(connection, None)) == ["acc_1", "acc_2"]
