"""What each statement about timers and ready accounts stores, and what a claim reads of it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any

import pytest

from shared.refresh_state.ready import reading
from shared.refresh_state.ready.locks import lock_accounts
from shared.refresh_state.ready.memory import QueueStart
from shared.refresh_state.ready.queue import Served, add_due, pause, resume, settle
from shared.vocabulary import Lane, Platform
from tests.harness import Harness

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)


def ready(harness: Harness, account: str, virtual_time: float, rows_from: datetime = NOW - 2 * HOUR) -> None:
    harness.execute(
        "INSERT INTO ready_accounts SELECT 0, account_id, workspace_id, platform, :time, :rows_from"
        "  FROM accounts WHERE account_id = :account",
        account=account,
        time=virtual_time,
        rows_from=rows_from,
    )


def timer(
    harness: Harness, account: str, rows_from: datetime, *, due_at: datetime | None = None, lane: int = 0
) -> None:
    harness.execute(
        "INSERT INTO account_timers (account_id, lane, due_at, rows_from)"
        " VALUES (:account, :lane, :due_at, :rows_from)",
        lane=lane,
        account=account,
        due_at=due_at or rows_from,
        rows_from=rows_from,
    )


def counted(harness: Harness, scope: str, subject: str, **columns: Any) -> None:
    values = {"served": 0.0, "weight": 1.0, "latest_cost": 0.0, "served_at": NOW - HOUR, **columns}
    harness.execute(
        "INSERT INTO turns (scope, subject, served, weight, latest_cost, served_at)"
        " VALUES (:scope, :subject, :served, :weight, :latest_cost, :served_at)",
        scope=scope,
        subject=subject,
        **values,
    )


def queue_of(harness: Harness) -> dict[str, float]:
    rows = harness.execute("SELECT account_id, virtual_time FROM ready_accounts WHERE lane = 0")
    return {row.account_id: row.virtual_time for row in rows}


def timers_of(harness: Harness) -> list[tuple[str, datetime, datetime]]:
    rows = harness.execute("SELECT account_id, due_at, rows_from FROM account_timers ORDER BY 1, 2")
    return [tuple(row) for row in rows]


def accounts(harness: Harness, names: Sequence[str], workspace: str = "ws_1") -> None:
    for name in names:
        harness.account(name, workspace_id=workspace)


def test_accounts_whose_timer_has_passed_join_the_queue_behind_the_calls_of_their_workspace(
    harness: Harness,
) -> None:
    counted(harness, "workspace", "ws_1", served=7, weight=2, latest_cost=2, served_at=NOW)
    counted(harness, "workspace", "ws_idle", served=-5000)
    counted(harness, "account", "served", served=1)
    accounts(harness, ["served", "late", "early", "paused", "paused_long", "later"])
    for account, ago in (("served", 9), ("late", 1), ("early", 5), ("paused_long", 0), ("later", -1)):
        timer(harness, account, NOW - ago * HOUR)
    accounts(harness, ["idle"], "ws_idle")
    accounts(harness, ["new"], "ws_new")
    for account in ("idle", "new"):
        timer(harness, account, NOW - HOUR)
    ready(harness, "paused", inf)
    ready(harness, "paused_long", inf)

    for _ in range(2):
        with harness.engine.begin() as connection:
            assert not add_due(connection, Lane.BACKGROUND)

    assert queue_of(harness) == {
        "early": 7.5,
        "late": 8.0,
        "paused_long": 8.5,
        "served": 9.0,
        "idle": 7.0,
        "new": 7.0,
        "paused": inf,
    }
    assert [name for name, *_ in timers_of(harness)] == ["later"]


def test_account_that_waits_in_the_queue_stays_in_its_place_and_keeps_its_earliest_row(
    harness: Harness,
) -> None:
    accounts(harness, ["earlier", "later"])
    for account, hours in (("earlier", 3), ("later", 1)):
        ready(harness, account, 50.0)
        timer(harness, account, NOW - hours * HOUR)

    with harness.engine.begin() as connection:
        add_due(connection, Lane.BACKGROUND)

    assert queue_of(harness) == {"earlier": 50.0, "later": 50.0}
    rows_from = harness.execute("SELECT rows_from FROM ready_accounts ORDER BY account_id")
    assert [one for (one,) in rows_from] == [NOW - 3 * HOUR, NOW - 2 * HOUR]


def test_resumed_accounts_join_the_queue_again_and_others_stay_paused(harness: Harness) -> None:
    counted(harness, "workspace", "ws_1", served=7, weight=2)
    accounts(harness, ["a", "b", "paused", "waiting"])
    harness.account("dead", state="disconnected")
    for account in ("a", "b", "paused", "dead"):
        ready(harness, account, inf)
    ready(harness, "waiting", 8.0)
    harness.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " VALUES ('instagram', 'account', 'paused', now() + interval '1 hour', 'limit')"
    )

    with harness.engine.begin() as connection:
        assert resume(connection, Lane.BACKGROUND, 6.0)

    assert queue_of(harness) == {"a": 8.5, "b": 9.0, "paused": inf, "dead": inf, "waiting": 8.0}


def test_paused_account_stays_in_the_queue_with_its_earliest_row_and_without_timers(harness: Harness) -> None:
    accounts(harness, ["ready", "timed", "gone"])
    ready(harness, "ready", 3.0)
    for account, hours in (("ready", 3), ("timed", 2), ("timed", 4), ("timed", -1)):
        timer(harness, account, NOW - hours * HOUR)

    with harness.engine.begin() as connection:
        pause(connection, Lane.BACKGROUND, ["ready", "timed", "gone"])

    assert queue_of(harness) == {"ready": inf, "timed": inf}
    rows_from = harness.execute("SELECT rows_from FROM ready_accounts ORDER BY account_id")
    assert [one for (one,) in rows_from] == [NOW - 3 * HOUR, NOW - 4 * HOUR]


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
    for account in rows:
        ready(harness, account, 3.0, NOW - 3 * HOUR)
        timer(harness, account, NOW - HOUR)
        timer(harness, account, NOW + 5 * HOUR)

    with harness.engine.begin() as connection:
        settled = lock_accounts(connection, list(rows), len(rows))
        settle(connection, Lane.BACKGROUND, 2.0, [Served(one, None, None, 2.0, 7.0) for one in settled])

    assert queue_of(harness) == {"due": 7.5, "due_too": 8.0}
    assert harness.execute("SELECT rows_from FROM ready_accounts WHERE account_id = 'due'") == [
        (NOW - 2 * HOUR,)
    ]
    assert timers_of(harness) == [("later", NOW + HOUR, NOW + HOUR), ("released", NOW + HOUR, NOW + HOUR)]

    harness.execute("UPDATE refresh_state SET priority = 1 WHERE next_run_at = :at", at=NOW - HOUR)
    with harness.engine.begin() as connection:
        settle(
            connection,
            Lane.INTERACTIVE,
            0.0,
            [Served(one, None, None, 1.0, 0.0) for one in ("due", "later")],
        )
    interactive = "SELECT account_id, rows_from FROM ready_accounts WHERE lane = 1"
    assert [tuple(row) for row in harness.execute(interactive)] == [("due", NOW - HOUR)]
    assert queue_of(harness) == {"due": 7.5, "due_too": 8.0}


def test_claim_reads_the_head_of_the_queue_and_the_first_timers(harness: Harness) -> None:
    accounts(harness, ["dead", "paused", "beyond", "full", "q1", "q2", "q3", "suspect"])
    harness.execute("UPDATE accounts SET state = 'disconnected' WHERE account_id = 'dead'")
    harness.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " VALUES ('instagram', 'background', 'paused', now() + interval '1 hour', 'limit')"
    )
    counted(harness, "workspace", "ws_1", served=7, weight=2)
    counted(harness, "account", "q1", served_at=NOW)
    ids = {}
    for name in ("dead", "paused", "beyond", "full", "q1", "q2", "q3"):
        harness.publications(name, next_run_at=NOW + HOUR)
        harness.execute("UPDATE publications SET platform_post_id = 'pp_' || id")
        harness.publications(name, next_run_at=NOW - HOUR)
        harness.execute("UPDATE publications SET platform_post_id = 'pp_' || id")
        (ids[name],) = harness.publications(name, next_run_at=NOW - 2 * HOUR)
    lost: dict[str, Any] = {"unfinished": 2, "claimed_at": NOW - 3 * HOUR, "reason": "claimed"}
    (suspect,) = harness.publications("suspect", next_run_at=NOW - HOUR, **lost)
    harness.publications(harness.account("x", Platform.X), next_run_at=NOW - HOUR, **lost)
    harness.execute("DELETE FROM account_timers")
    for place, name in enumerate(("full", "q1", "q2", "q3")):
        ready(harness, name, float(place))
    ready(harness, "x", 5.0)
    for hours, name in ((9, "dead"), (8, "paused"), (7, "beyond")):
        timer(harness, name, NOW - 2 * HOUR, due_at=NOW - hours * HOUR)

    with harness.engine.begin() as connection:
        rows = reading.read(
            connection, Lane.BACKGROUND, QueueStart(), full=["full"], most=2, next_suspect=suspect
        )

    two_hours, an_hour = ((NOW - hours * HOUR).timestamp() for hours in (2, 1))
    assert {row.account_id: (row.virtual_time, row.readable, row.due_at) for row in rows} == {
        "full": (0.0, True, two_hours),
        "q1": (1.0, True, two_hours),
        "q2": (2.0, True, two_hours),
        "x": (5.0, True, None),
        "dead": (None, False, two_hours),
        "paused": (None, False, two_hours),
        "suspect": (None, True, an_hour),
    }
    assert {(row.timers, row.first_timer) for row in rows} == {(2, NOW - 9 * HOUR)}
    assert {row.account_id: (row.weight, row.served) for row in rows}["q1"] == (2.0, 7.0)
    assert {row.account_id: row.served_at for row in rows}["q1"] == NOW.timestamp()


def test_interactive_claim_reads_rows_that_somebody_waits_for_alone(harness: Harness) -> None:
    accounts(harness, ["paused", "background"])
    harness.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " VALUES ('instagram', 'background', 'paused', now() + interval '1 hour', 'limit')"
    )
    for name in ("paused", "background"):
        harness.publications(name, next_run_at=NOW - 2 * HOUR)
        timer(harness, name, NOW - 3 * HOUR, lane=1)
    harness.execute("UPDATE publications SET platform_post_id = 'pp_' || id")
    harness.publications("paused", next_run_at=NOW - HOUR, priority=1)

    with harness.engine.begin() as connection:
        rows = reading.read(connection, Lane.INTERACTIVE, QueueStart(), full=[], most=9, next_suspect=None)

    assert {row.account_id: (row.readable, row.due_at) for row in rows} == {
        "paused": (True, (NOW - HOUR).timestamp()),
        "background": (True, None),
    }


@pytest.mark.parametrize(
    ("hours", "wait"), [((3, 2), 2 * HOUR), ((25,), None), ((-1, 2), timedelta()), ((), None)]
)
def test_next_timer_is_the_first_one_of_a_day(
    harness: Harness, hours: Sequence[int], wait: timedelta | None
) -> None:
    for number in hours:
        timer(harness, "acc_1", NOW, due_at=datetime.now(UTC) + number * HOUR)
    with harness.engine.begin() as connection:
        actual = reading.next_timer(connection, Lane.BACKGROUND)
        assert reading.next_timer(connection, Lane.INTERACTIVE) is None

    if wait:
        assert actual is not None
        assert timedelta() <= wait - actual < timedelta(minutes=5)
    else:
        assert actual == wait
