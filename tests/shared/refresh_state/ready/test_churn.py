"""Transactions of two sessions in any order leave no row that a claim would not find."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from shared.refresh_state.make_due import make_due
from shared.refresh_state.ready.memory import ClaimMemory
from shared.refresh_state.ready.queue import add_due
from shared.refresh_state.ready.sweep import sweep
from shared.vocabulary import Lane, Reason
from tests.claiming import claim_due
from tests.harness import Harness

ROWS: Final = 6
START: Final = """
UPDATE refresh_state SET priority = 0, unfinished = 0, claimed_at = NULL, reason = 'stale',
       next_run_at = now() + interval '1 hour' * CASE WHEN publication_id = ANY(:later) THEN 1 ELSE -1 END
"""
CHANGES: Final = (
    "next_run_at = now() - interval '1 s', reason = 'stale', claimed_at = NULL",
    "next_run_at = now() - interval '2 s', reason = 'stale', claimed_at = NULL",
    "next_run_at = now() + interval '1 hour', reason = 'stale', claimed_at = NULL, unfinished = 0",
    "next_run_at = NULL, reason = 'stopped', claimed_at = NULL",
    "next_run_at = now() - interval '1 s' WHERE claimed_at IS NOT NULL AND TRUE",
    "unfinished = unfinished + 1 WHERE claimed_at IS NOT NULL AND TRUE",
    "priority = 1 - priority",
)
STEPS: Final = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from(["commit", "claim", "claim", "claim_interactive", "make_due", "add_due", *CHANGES]),
        st.integers(1, ROWS),
    ),
    min_size=4,
    max_size=14,
)


def claims_of(connection: Connection, lane: Lane, memory: ClaimMemory) -> int:
    return claim_due(
        connection, lane, jobs=3, platform_jobs=50, lease=timedelta(minutes=5), memory=memory
    ).rows


def apply_step(connection: Connection, step: str, ids: Sequence[int], memory: ClaimMemory) -> None:
    match step:
        case "commit":
            connection.commit()
        case "claim":
            claims_of(connection, Lane.BACKGROUND, memory)
        case "claim_interactive":
            claims_of(connection, Lane.INTERACTIVE, memory)
        case "make_due":
            make_due(connection, "ws_1", ids, Reason.FORCED)
        case "add_due":
            add_due(connection, Lane.BACKGROUND)
        case change:
            where = "AND" if "WHERE" in change else "WHERE"
            statement = f"UPDATE refresh_state SET {change} {where} publication_id = ANY(:ids)"
            connection.execute(text(statement), {"ids": list(ids)})


def test_no_order_of_transactions_loses_a_row(harness: Harness) -> None:
    ids = [
        one
        for number in range(2)
        for one in harness.publications(harness.account(f"acc_{number}"), ROWS // 2)
    ]

    @settings(max_examples=20, deadline=None)
    @given(STEPS)
    def churn(steps: list[tuple[int, str, int]]) -> None:
        memories = (ClaimMemory(), ClaimMemory())
        harness.execute(START, later=ids[::2])
        with harness.engine.connect() as first, harness.engine.connect() as second:
            for session, step, number in steps:
                connection = (first, second)[session]
                connection.exec_driver_sql("SET LOCAL lock_timeout = '20ms'")
                try:
                    apply_step(connection, step, ids[number - 1 : number], memories[session])
                except OperationalError:  # it would wait for the other session
                    connection.rollback()
            first.commit()
            second.commit()
        with harness.engine.begin() as connection:
            assert sweep(connection).repaired == 0

    churn()
    harness.execute("UPDATE refresh_state SET next_run_at = now(), claimed_at = NULL, reason = 'stale'")
    with harness.engine.begin() as connection:
        assert claims_of(connection, Lane.BACKGROUND, ClaimMemory()) == ROWS
