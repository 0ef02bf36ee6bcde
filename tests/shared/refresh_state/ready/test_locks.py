"""Locks of claims: one claim at a time has an account."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.refresh_state.ready.locks import lock_accounts
from shared.refresh_state.ready.queue import add_due
from shared.vocabulary import Lane
from tests.claiming import claim_due
from tests.harness import Harness


def test_claim_skips_an_account_that_another_one_has_and_waits_for_none(harness: Harness) -> None:
    with harness.engine.begin() as first, harness.engine.begin() as second:
        assert lock_accounts(first, ["b", "a"], 1) == ["b"]
        assert lock_accounts(second, ["b", "a", "c"], 9) == ["a", "c"]


@pytest.mark.parametrize("account", ["due", "due later", "paused", "resumed"])
def test_claim_waits_for_no_account_that_another_one_writes(harness: Harness, account: str) -> None:
    later = timedelta(hours=1 if account == "due later" else -1)
    harness.publications(harness.account("acc_1"), next_run_at=datetime.now(UTC) + later)
    harness.execute("UPDATE account_timers SET due_at = now()")
    if account == "paused":
        harness.execute(
            "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
            " VALUES ('instagram', 'account', 'acc_1', now() + interval '1 hour', 'limit')"
        )
    if account == "resumed":
        harness.execute(
            "INSERT INTO ready_accounts VALUES (0, 'acc_1', 'ws_1', 'instagram', 'Infinity', now())"
        )
    with harness.engine.connect() as first, harness.engine.connect() as second:
        with first.begin() as former, second.begin():
            second.exec_driver_sql("SET LOCAL lock_timeout = '1s'")
            assert lock_accounts(first, ["acc_1"], 1) == ["acc_1"]
            first.exec_driver_sql("DELETE FROM account_timers")
            first.exec_driver_sql("UPDATE ready_accounts SET virtual_time = 0")

            assert claim_due(second).jobs == ()
            add_due(second, Lane.BACKGROUND)
            former.rollback()
        with second.begin():
            add_due(second, Lane.BACKGROUND)
            claim_due(second)
        with first.begin():
            assert lock_accounts(first, ["acc_1"], 1) == ["acc_1"], "locks end with their transaction"
