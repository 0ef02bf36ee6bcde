"""One bulk re-sync: resumed by any process, shared by two, recorded step by step."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from shared.operations import audit_log, bulk_resync
from shared.operations.audit_log import Operator
from shared.operations.bulk_resync import Pace
from shared.operations.selection import Selection
from shared.refresh_state.make_due import make_due
from shared.vocabulary import Platform
from tests.harness import Harness
from tests.shared.operations.rows import ADA, LATER, deferred_row, is_due, log

ANNA = Operator("anna", "page")
OF_ACCOUNT = Selection(accounts=("acc_1",))


@pytest.fixture
def ids(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Give five rows of one account that are not due; a step makes two of them due."""
    monkeypatch.setattr(bulk_resync, "STEP", 2)
    harness.account("acc_1")
    return [deferred_row(harness, "acc_1", until=LATER, reason="stale") for _ in range(5)]


def begin(harness: Harness, selection: Selection, **arguments: Any) -> int:
    with harness.engine.begin() as connection:
        return bulk_resync.begin(connection, ADA, selection, **arguments)


def entry(harness: Harness, entry_id: int) -> audit_log.AuditEntry:
    with harness.engine.connect() as connection:
        logged = audit_log.entry(connection, entry_id)
    assert logged is not None
    return logged


def test_stopped_resync_is_resumed_after_its_last_committed_step(harness: Harness, ids: list[int]) -> None:
    entry_id = begin(harness, OF_ACCOUNT)
    steps = bulk_resync.run(harness.engine, entry_id, Pace(None), interactive=True)

    first = next(steps)
    steps.close()

    assert (first.rows, first.made_due, first.last, list(first.requested)) == (2, 2, ids[1], ids[:2])
    stopped = entry(harness, entry_id)
    assert (stopped.rows, stopped.last, stopped.ended_at) == (2, ids[1], None)
    assert bulk_resync.unfinished_selection(stopped) == OF_ACCOUNT

    rest = list(bulk_resync.run(harness.engine, entry_id, Pace(None), interactive=False))

    assert [(step.rows, step.is_last) for step in rest] == [(2, False), (1, True)]
    assert all(is_due(harness, one) for one in ids)
    assert [harness.state(one).priority for one in ids] == [1, 1, 0, 0, 0]
    assert log(harness) == [("resync", {"account": "acc_1"}, None, 5, True)]
    assert list(bulk_resync.run(harness.engine, entry_id, Pace(None), interactive=True)) == []


def test_two_processes_that_run_one_resync_share_its_rows(harness: Harness, ids: list[int]) -> None:
    entry_id = begin(harness, OF_ACCOUNT)
    runs = [bulk_resync.run(harness.engine, entry_id, Pace(None), interactive=True) for _ in range(2)]

    requested = [list(next(run).requested) for run in (runs[0], runs[1], runs[0])]

    assert requested == [ids[:2], ids[2:4], ids[4:]]
    assert list(runs[1]) == []
    assert entry(harness, entry_id).rows == 5


def test_resync_starts_after_a_given_publication(harness: Harness, ids: list[int]) -> None:
    entry_id = begin(harness, OF_ACCOUNT, after=ids[2])

    list(bulk_resync.run(harness.engine, entry_id, Pace(None), interactive=True))

    assert [is_due(harness, one) for one in ids] == [False, False, False, True, True]
    assert entry(harness, entry_id).rows == 2


def test_rows_that_cannot_be_refreshed_are_processed_but_not_made_due(
    harness: Harness, ids: list[int]
) -> None:
    harness.execute("UPDATE publications SET platform_post_id = NULL WHERE id = :id", id=ids[0])
    harness.execute(
        "UPDATE refresh_state SET reason = 'quarantined', next_run_at = NULL WHERE publication_id = :id",
        id=ids[1],
    )

    (step, *_) = bulk_resync.run(
        harness.engine, begin(harness, Selection(ids=(ids[0], ids[1]))), Pace(None), interactive=True
    )

    assert (step.rows, step.requested, step.made_due) == (2, {}, 0)
    assert not is_due(harness, ids[0])


def test_search_for_rare_rows_goes_on_in_bounded_scans(
    harness: Harness, ids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.operations.selection.SCANNED_AT_ONCE", 2)
    harness.account("acc_2", Platform.X)
    rare = deferred_row(harness, "acc_2", until=LATER, reason="stale")

    steps = list(
        bulk_resync.run(
            harness.engine, begin(harness, Selection(platforms=(Platform.X,))), Pace(None), interactive=True
        )
    )

    assert [step.rows for step in steps][:2] == [0, 0]
    assert sum(step.rows for step in steps) == 1
    assert [is_due(harness, one) for one in (*ids, rare)] == [False] * 5 + [True]


def test_failing_step_is_repeated_and_then_raised_with_the_rest_left_to_resume(
    harness: Harness, ids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [3, 0, 10]

    def failing(*arguments: Any, **options: Any) -> int:
        if failures[0]:
            failures[0] -= 1
            raise OperationalError("UPDATE", {}, Exception("connection lost"))
        failures.pop(0)
        return make_due(*arguments, **options)

    monkeypatch.setattr("shared.operations.bulk_resync.make_due", failing)
    slept: list[float] = []
    entry_id = begin(harness, OF_ACCOUNT)
    steps = bulk_resync.run(harness.engine, entry_id, Pace(None, sleep=slept.append), interactive=True)

    assert [next(steps).last, next(steps).last] == [ids[1], ids[3]]
    with pytest.raises(OperationalError):
        next(steps)

    assert len(slept) == 3 + 4
    assert (entry(harness, entry_id).rows, entry(harness, entry_id).ended_at) == (4, None)


@pytest.mark.parametrize(
    ("action", "subject", "ended"),
    [
        ("pause", {"platform": "x"}, False),
        ("resync", {"platform": "x"}, True),
        ("resync", {"post": ["post_1"]}, False),
        ("resync", {"platform": "myspace"}, False),
    ],
)
def test_entry_that_is_not_a_stopped_selection_is_not_resumed(
    harness: Harness, ids: list[int], action: str, subject: dict[str, Any], *, ended: bool
) -> None:
    with harness.engine.begin() as connection:
        entry_id = audit_log.record(connection, ANNA, action, subject, ended=ended)

    assert bulk_resync.unfinished_selection(entry(harness, entry_id)) is None
    assert list(bulk_resync.run(harness.engine, entry_id, Pace(None), interactive=True)) == []
    assert not any(is_due(harness, one) for one in ids)


def test_pace_keeps_to_its_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    pace = Pace(50, sleep=lambda seconds: now.__setitem__(0, now[0] + seconds))

    for _ in range(100):
        pace.spend(pace.step)

    assert timedelta(seconds=now[0]) == timedelta(seconds=100 * pace.step / 50)


@pytest.mark.parametrize(("rate", "step"), [(None, 500), (8_000.0, 500), (50.0, 12), (1.0, 1)])
def test_step_is_a_quarter_of_a_second_s_worth(rate: float | None, step: int) -> None:
    assert Pace(rate).step == step
