"""Bulk re-syncs in the background of the page: their rows and lane, what ends one, and that the next runs."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from api_stub.ops.bulk_resync import BackgroundResyncs
from shared.operations import audit_log, bulk_resync
from shared.operations.audit_log import Operator
from tests.api_stub.ops.conftest import Ops
from tests.api_stub.ops.test_forms import audit_entries, due


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bool]]:
    """Return the steps that were run, each with its entry and its lane; the entry 13 loses its database."""
    made: list[tuple[int, bool]] = []

    def run(_engine: object, entry_id: int, _pace: object, *, interactive: bool) -> Iterator[int]:
        for number in range(3):
            if entry_id == 13:
                raise OperationalError("UPDATE", {}, Exception())
            made.append((entry_id, interactive))
            yield number

    monkeypatch.setattr(bulk_resync, "run", run)
    return made


def test_resync_after_one_that_failed_is_run_in_the_background_lane(steps: list[Any]) -> None:
    resyncs = BackgroundResyncs(cast(Engine, None))
    try:
        resyncs.resume(13)
        resyncs.resume(7)
        resyncs.wait()
        assert steps == [(7, False)] * 3
        assert resyncs.running == set()
    finally:
        resyncs.stop()


def test_stop_ends_a_resync_after_its_step(steps: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    resyncs = BackgroundResyncs(cast(Engine, None))
    resumed: list[set[int]] = []

    def submit(run: Any, *arguments: Any, **options: Any) -> None:
        resumed.append(set(resyncs.running))
        resyncs.stop()
        run(*arguments, **options)

    monkeypatch.setattr(resyncs._pool, "submit", submit)
    resyncs.resume(7)

    assert (steps, resumed, resyncs.running) == ([(7, False)], [{7}], set())


def test_bulk_resync_makes_the_rows_of_the_filter_due(ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_resync, "STEP", 2)
    ops.rows.account("acc_2", "ws_2", platform="x")
    failed = [
        ops.rows.publication(account, analytics={"sync_status": "failed"})
        for account in ("acc_1", "acc_2") * 3
    ]
    ops.rows.publication()

    ops.send("/ops/resync", status="failed")
    assert due(ops) == set(failed)
    assert lanes(ops, failed) == {1}

    (entry,) = audit_entries(ops)
    assert (entry.rows, entry.subject, entry.last) == (6, {"status": "failed"}, max(failed))
    assert entry.ended_at is not None


def lanes(ops: Ops, ids: list[int]) -> set[int]:
    return {ops.rows.state(one).priority for one in ids}


def test_large_bulk_resync_combines_filters_and_leaves_the_interactive_lane(
    ops: Ops, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api_stub.ops.bulk_resync.INTERACTIVE_UP_TO", 0)
    ops.rows.account("acc_2", "ws_2", platform="x")
    wanted = ops.rows.publication("acc_2", analytics={"sync_status": "failed", "outcome": "gone"})
    ops.rows.publication("acc_2", analytics={"sync_status": "failed", "outcome": "retry"})
    ops.rows.publication("acc_1", analytics={"sync_status": "failed", "outcome": "gone"})

    ops.send("/ops/resync", status="failed", platform="x", outcome="gone")

    assert due(ops) == {wanted}
    assert lanes(ops, [wanted]) == {0}


def test_interrupted_resync_resumes_after_its_last_row(ops: Ops) -> None:
    ids = [ops.rows.publication() for _ in range(4)]
    with ops.context.engine.begin() as connection:
        entry_id = audit_log.record(
            connection, Operator("Anna", "page"), "resync", {"account": "acc_1"}, ended=False
        )
        audit_log.record_progress(connection, entry_id, rows=2, last=ids[1])
    assert ">Resume<" in ops.get("/ops/audit-log").text

    ops.send("/ops/resume-resync", entry_id=str(entry_id))

    assert due(ops) == set(ids[2:])
    (entry,) = audit_entries(ops)
    assert (entry.rows, entry.ended_at is not None) == (4, True)
    assert ops.send("/ops/resume-resync", entry_id=str(entry_id)).status_code == 400
