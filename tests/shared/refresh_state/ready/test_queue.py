"""What each statement about timers and ready accounts stores."""

from math import inf
from typing import Any

import pytest

from shared.refresh_state.ready import queue
from shared.refresh_state.ready.locks import lock_accounts
from shared.refresh_state.ready.queue import Served, add_due, pause, resume, settle
from shared.vocabulary import Lane
from tests.harness import Harness
from tests.shared.refresh_state.ready.queued import (
    HOUR,
    NOW,
    accounts,
    counted,
    queue_of,
    ready,
    timer,
    timers_of,
    transaction,
)


def test_accounts_whose_timer_has_passed_join_the_queue_behind_the_calls_of_their_workspace(
    harness: Harness,
) -> None:
    counted(harness, "workspace", "ws_1", served=7, weight=2, latest_cost=2, served_at=NOW)
    counted(harness, "workspace", "ws_idle", served=-5000)
    counted(harness, "account", "served", served=1)
    accounts(harness, ["served", "a_late", "early", "paused", "paused_long", "later"])
    for account, ago in (
        ("served", 9),
        ("a_late", 1),
        ("early", 5),
        ("early", 2),
        ("early", -1),
        ("paused_long", 0),
        ("later", -1),
    ):
        timer(harness, account, NOW - ago * HOUR)
    accounts(harness, ["idle"], "ws_idle")
    accounts(harness, ["new"], "ws_new")
    for account in ("idle", "new"):
        timer(harness, account, NOW - HOUR)
    ready(harness, "paused", inf)
    ready(harness, "paused_long", inf)

    for _ in range(2):
        with transaction(harness) as connection:
            assert not add_due(connection, Lane.BACKGROUND)

    assert queue_of(harness) == {
        "early": 7.5,
        "a_late": 8.0,
        "paused_long": 8.5,
        "served": 9.0,
        "idle": 7.0,
        "new": 7.0,
        "paused": inf,
    }
    assert [name for name, *_ in timers_of(harness)] == ["early", "later"]
    rows_from = harness.execute("SELECT rows_from FROM ready_accounts WHERE account_id = 'early'")
    assert rows_from == [(NOW - 5 * HOUR,)]


def test_account_that_waits_in_the_queue_stays_in_its_place_and_keeps_its_earliest_row(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts(harness, ["earlier", "later"])
    for account, hours in (("later", 1), ("earlier", 3)):
        ready(harness, account, 50.0)
        timer(harness, account, NOW - hours * HOUR)
    monkeypatch.setattr(queue, "TIMERS_AT_ONCE", 1)

    with transaction(harness) as connection:
        assert add_due(connection, Lane.BACKGROUND)
    assert [name for name, *_ in timers_of(harness)] == ["later"]
    with transaction(harness) as connection:
        assert [add_due(connection, Lane.BACKGROUND) for _ in range(2)] == [True, False]

    assert queue_of(harness) == {"earlier": 50.0, "later": 50.0}
    rows_from = harness.execute("SELECT rows_from FROM ready_accounts ORDER BY account_id")
    assert [one for (one,) in rows_from] == [NOW - 3 * HOUR, NOW - 2 * HOUR]


def test_resumed_accounts_join_the_queue_again_and_others_stay_paused(harness: Harness) -> None:
    counted(harness, "workspace", "ws_1", served=7, weight=2)
    accounts(harness, ["a", "b", "paused", "waiting"])
    harness.account("dead", state="disconnected")
    for account in ("b", "a", "paused", "dead"):
        ready(harness, account, inf)
    accounts(harness, ["first"])
    ready(harness, "first", 7.5)
    ready(harness, "waiting", 8.0)
    harness.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " VALUES ('instagram', 'account', 'paused', now() + interval '1 hour', 'limit')"
    )

    with transaction(harness) as connection:
        assert resume(connection, Lane.BACKGROUND, 6.0)

    assert queue_of(harness) == {"a": 8.5, "b": 9.0, "paused": inf, "dead": inf, "waiting": 8.0, "first": 7.5}


def test_paused_account_stays_in_the_queue_with_its_earliest_row_and_without_timers_that_have_passed(
    harness: Harness,
) -> None:
    accounts(harness, ["ready", "timed", "later", "gone"])
    ready(harness, "ready", 3.0)
    for account, hours in (("ready", 3), ("timed", 2), ("timed", 4), ("timed", -1), ("later", -1)):
        timer(harness, account, NOW - hours * HOUR)

    with transaction(harness) as connection:
        pause(connection, Lane.BACKGROUND, ["ready", "timed", "later", "gone"])

    assert queue_of(harness) == {"ready": inf, "timed": inf}
    assert [name for name, *_ in timers_of(harness)] == ["later", "timed"]
    rows_from = harness.execute("SELECT rows_from FROM ready_accounts ORDER BY account_id")
    assert [one for (one,) in rows_from] == [NOW - 3 * HOUR, NOW - 4 * HOUR]


def served(account_id: str, weight: float, virtual_time: float) -> Served:
    return Served(account_id, "ws_1", "instagram", weight, virtual_time)


def test_settled_accounts_wait_in_the_queue_or_for_the_time_of_their_next_row(harness: Harness) -> None:
    rows: dict[str, list[dict[str, Any]]] = {
        "due": [{"next_run_at": NOW - HOUR}, {"next_run_at": NOW - 2 * HOUR}],
        "due_too": [{"next_run_at": NOW - HOUR}],
        "later": [{"next_run_at": NOW + 2 * HOUR}, {"next_run_at": NOW + HOUR}],
        "released": [{"next_run_at": NOW + HOUR, "unfinished": 2}],
        "suspect": [{"next_run_at": NOW - HOUR, "unfinished": 2, "claimed_at": NOW, "reason": "claimed"}],
        "stopped": [{"next_run_at": None, "reason": "stopped"}],
    }
    for account, states in rows.items():
        harness.account(account)
        for state in states:
            harness.execute("UPDATE publications SET platform_post_id = 'pp_' || id")
            harness.publications(account, **state)
    harness.execute("DELETE FROM account_timers")
    for account in rows.keys() - {"due_too"}:  # another claim has ended its timers
        ready(harness, account, 3.0, NOW - 3 * HOUR)
        timer(harness, account, NOW - HOUR)
        timer(harness, account, NOW + 5 * HOUR)
    ready(harness, "later", 3.0, lane=1)
    timer(harness, "later", NOW, lane=1)

    with transaction(harness) as connection:
        settled = lock_accounts(connection, list(rows), len(rows))
        settle(connection, Lane.BACKGROUND, 2.0, [served(one, 2.0, 7.0) for one in reversed(settled)])

    assert queue_of(harness) == {"due": 7.5, "due_too": 8.0}
    assert harness.execute("SELECT rows_from FROM ready_accounts WHERE account_id = 'due'") == [
        (NOW - 2 * HOUR,)
    ]
    assert [one[:2] for one in timers_of(harness)] == [
        ("later", NOW),
        ("later", NOW + HOUR),
        ("released", NOW + HOUR),
    ]
    interactive = "SELECT account_id, rows_from FROM ready_accounts WHERE lane = 1"
    assert [tuple(row) for row in harness.execute(interactive)] == [("later", NOW - 2 * HOUR)]

    harness.execute("UPDATE refresh_state SET priority = 1 WHERE next_run_at = :at", at=NOW - HOUR)
    with transaction(harness) as connection:
        settle(connection, Lane.INTERACTIVE, 0.0, [served("due", 1.0, 0.0), served("later", 1.0, 0.0)])
    assert [tuple(row) for row in harness.execute(interactive)] == [("due", NOW - HOUR)]
    assert (
        harness.execute("SELECT FROM account_timers WHERE lane = 1 AND account_id IN ('due', 'later')") == []
    )
    assert queue_of(harness) == {"due": 7.5, "due_too": 8.0}
