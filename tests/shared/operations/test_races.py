"""Two operators at once: the later action waits for the earlier one and sees what it has left."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from shared.operations import audit_log
from shared.operations.pause import Scope, pause_scope
from shared.refresh_state.unquarantine import unquarantine
from tests.harness import Harness
from tests.shared.operations.rows import ADA, LATER, MINUTE, deferred_row, is_due

WAITING = text(
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
)
Result = TypeVar("Result")


def second_after(
    harness: Harness, first: Callable[[Connection], object], second: Callable[[Connection], Result]
) -> Result:
    """Do the first, begin the second until it waits, commit the first; return the result of the second."""

    def begin_second() -> Result:
        with harness.engine.begin() as connection:
            return second(connection)

    with ThreadPoolExecutor(1) as other, harness.engine.connect() as watching:
        with harness.engine.begin() as connection:
            first(connection)
            waiting = other.submit(begin_second)
            while not waiting.done() and not watching.execute(WAITING).scalar_one():
                watching.rollback()  # the next look sees the present
            assert not waiting.done(), "it did not wait"
        return waiting.result(20)


def test_shorter_pause_sees_the_longer_one_that_was_being_placed(harness: Harness) -> None:
    account = harness.account("acc_1")
    with harness.engine.begin() as connection:
        pause_scope(connection, ADA, Scope(account_id=account), "short", LATER)

    def lengthen(connection: Connection) -> None:
        pause_scope(connection, ADA, Scope(account_id=account), "long", LATER + 9 * MINUTE)

    deferred = deferred_row(harness, account, until=LATER + 9 * MINUTE)
    second_after(
        harness,
        lengthen,
        lambda connection: pause_scope(connection, ADA, Scope(account_id=account), "between", LATER + MINUTE),
    )

    assert is_due(harness, deferred), "it must not wait for the end of the longer pause"


def test_row_is_released_from_quarantine_once(harness: Harness) -> None:
    row = deferred_row(harness, harness.account("acc_1"), until=None, reason="quarantined", claim_seq=4)

    def release(connection: Connection) -> list[int]:
        return unquarantine(connection, None, unreadable="")

    assert second_after(harness, release, release) == []
    assert harness.state(row).claim_seq == 5


def test_entry_of_the_audit_log_is_locked_by_one_process_at_a_time(harness: Harness) -> None:
    with harness.engine.begin() as connection:
        entry_id = audit_log.record(connection, ADA, "resync", {"all": "all"}, ended=False)

    with harness.engine.begin() as holder, harness.engine.begin() as other:
        assert audit_log.entry(holder, entry_id, lock=True)
        assert audit_log.entry(other, entry_id), "reading waits for nobody"
        other.exec_driver_sql("SET LOCAL lock_timeout = '10ms'")
        with pytest.raises(OperationalError, match="lock timeout"):
            audit_log.entry(other, entry_id, lock=True)
        other.rollback()
