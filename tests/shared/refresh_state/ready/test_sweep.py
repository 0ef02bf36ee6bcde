"""Which rows the sweep finds without a timer."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, text

from shared.refresh_state.ready.sweep import sweep
from tests.harness import Harness
from tests.shared.refresh_state.ready.queued import HOUR, NOW, timers_of, transaction

MINUTE = timedelta(minutes=1)
STATE = (
    "UPDATE refresh_state SET next_run_at = :at, claimed_at = CASE WHEN :claimed THEN now() END,"
    " unfinished = :unfinished, priority = :priority"
)
READY = "INSERT INTO ready_accounts VALUES (:lane, 'acc_1', 'ws_1', 'instagram', 1, :rows_from)"
TIMER = (
    "INSERT INTO account_timers (account_id, lane, due_at, rows_from)"
    " VALUES ('acc_1', :lane, :due_at, :rows_from)"
)
DUE, LATER = NOW - HOUR, NOW + HOUR


def repaired(connection: Connection, at: object, covers: tuple[dict[str, Any], ...] = (), **row: Any) -> int:
    """Return how many timers of one row the sweep inserts beside these timers and ready accounts."""
    state = {"claimed": False, "unfinished": 0, "priority": 0, **row}
    connection.execute(text(STATE), {"at": at, **state})
    connection.execute(text("DELETE FROM account_timers"))
    connection.execute(text("DELETE FROM ready_accounts"))
    for cover in covers:
        connection.execute(text(TIMER if "due_at" in cover else READY), {"lane": 0, **cover})
    number = sweep(connection).repaired
    assert sweep(connection).repaired == 0
    return number


def test_sweep_repairs_the_timers_of_all_rows_but_suspects_with_an_open_claim(harness: Harness) -> None:
    harness.publications(harness.account("acc_1"))
    with harness.engine.begin() as connection:
        for unfinished in (0, 1, 2):
            for claimed in (False, True):
                for priority in (0, 1):
                    timers = 0 if claimed and unfinished == 2 else 1 + priority
                    case: dict[str, Any] = {
                        "unfinished": unfinished,
                        "claimed": claimed,
                        "priority": priority,
                    }
                    assert (case, repaired(connection, DUE, **case)) == (case, timers)
        assert repaired(connection, None, priority=1) == 0


def test_row_is_covered_by_a_timer_or_ready_account_of_its_lane_that_is_no_later(harness: Harness) -> None:
    harness.publications(harness.account("acc_1"))
    cases: tuple[tuple[object, dict[str, Any], int], ...] = (
        (DUE, {"rows_from": DUE}, 0),
        (DUE, {"rows_from": DUE + MINUTE}, 1),
        (DUE, {"rows_from": DUE, "lane": 1}, 1),
        (LATER, {"rows_from": LATER, "due_at": LATER}, 0),
        (LATER, {"rows_from": LATER + MINUTE, "due_at": LATER}, 1),
        (LATER, {"rows_from": LATER, "due_at": LATER + MINUTE}, 1),
        (LATER, {"rows_from": LATER, "due_at": LATER, "lane": 1}, 1),
        (DUE, {"rows_from": DUE, "due_at": NOW}, 0),
        (DUE, {"rows_from": DUE, "due_at": LATER}, 1),
    )
    with harness.engine.begin() as connection:
        for at, cover, number in cases:
            assert (at, cover, repaired(connection, at, (cover,))) == (at, cover, number)


def test_timer_that_the_sweep_inserts_is_due_with_its_row_and_not_in_the_past(harness: Harness) -> None:
    harness.publications(harness.account("acc_1"))
    due_at = text("SELECT due_at, rows_from, due_at BETWEEN now() AND clock_timestamp() FROM account_timers")
    with harness.engine.begin() as connection:
        repaired(connection, LATER)
        assert connection.execute(due_at).one()[:2] == (LATER, LATER)
        repaired(connection, DUE)
        assert connection.execute(due_at).one()[1:] == (DUE, True)


def test_earliest_row_of_an_account_decides_whatever_order_the_rows_have(harness: Harness) -> None:
    later, _ = harness.publications(harness.account("acc_1"), 2, next_run_at=LATER, priority=1)
    harness.execute(
        "UPDATE refresh_state SET next_run_at = :at WHERE publication_id = :id", at=LATER + HOUR, id=later
    )
    harness.execute("UPDATE refresh_state SET reason = 'stale' WHERE publication_id <> :id", id=later)
    harness.execute("DELETE FROM account_timers")
    with transaction(harness) as connection:
        assert sweep(connection).repaired == 2

    assert [due_at for _, due_at, _ in timers_of(harness)] == [LATER, LATER]
