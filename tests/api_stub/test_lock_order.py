"""The API's statements over several rows lock them in the order in which everybody locks them."""

from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection

from api_stub.events.batch import Event, EventType
from api_stub.events.processing import EventProcessor
from api_stub.posts import read_counter, statements
from tests.harness import Harness
from tests.shared.ingestion.rows import VAULT
from tests.shared.refresh_state.test_lock_order import OF_ROWS, locked_while_waiting_for


def _forced_read(connection: Connection, ids: list[int]) -> object:
    return connection.exec_driver_sql(statements.LOCK, {"workspace": "ws_1", "ids": ids})


def _save_reads(connection: Connection, ids: list[int]) -> object:
    reads = {"workspaces": ["ws_1"] * len(ids), "ids": ids, "reads": [1] * len(ids)}
    return connection.exec_driver_sql(read_counter._SAVE, reads)


def _delete(connection: Connection, _ids: list[int]) -> object:
    engine: Any = SimpleNamespace(begin=lambda: nullcontext(connection))
    event = Event(0, "evt_1", EventType.DELETED, {"post_id": "shared"})
    return EventProcessor(engine, VAULT).process([event])


@pytest.mark.parametrize("operation", [_forced_read, _delete])
def test_every_statement_over_several_rows_locks_the_lowest_id_first(
    harness: Harness, operation: Callable[[Connection, list[int]], object]
) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    ids = []
    for number in (1, 2, 3):
        account = harness.account(f"acc_{number}")
        ids += harness.publications(account, 1, next_run_at=later)
    harness.execute("UPDATE publications SET post_id = 'shared'")
    for some in (ids[1:], ids[:1]):  # what is written last lies last in the table
        harness.execute("UPDATE refresh_state SET claim_seq = 4 WHERE publication_id = ANY(:ids)", ids=some)

    assert locked_while_waiting_for(harness, OF_ROWS, ids[0], ids, operation) == []


def test_reads_are_written_in_the_order_of_their_rows(harness: Harness) -> None:
    ids = harness.publications(harness.account("acc_1"), 3)
    for some in (ids[1:], ids[:1]):
        harness.execute("UPDATE publications SET text = 'later' WHERE id = ANY(:ids)", ids=some)
    harness.execute("INSERT INTO read_counts SELECT unnest(CAST(:ids AS bigint[])), 1", ids=ids[::-1])
    lock, lockable = (one.replace("refresh_state", "read_counts") for one in OF_ROWS)

    assert locked_while_waiting_for(harness, (lock, lockable), ids[0], ids, _save_reads) == []
