"""The row counter: every row in one slice, every group in its figure, and rounds that forget deleted rows."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text

from scheduler.summaries import row_counter
from scheduler.summaries.row_counter import RowCounter
from shared.outcome_kinds import OutcomeGroup, OutcomeKind
from shared.vocabulary import Platform
from tests.harness import Harness

STATE = text(
    "UPDATE refresh_state SET reason = :reason, next_run_at = now() + :wait WHERE publication_id = :id"
)
ANALYTICS = text("""
UPDATE post_analytics SET sync_status = :status, outcome = :outcome, outcome_detail = :detail,
       attempted_at = now() - :age
 WHERE publication_id = :id
""")


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_counter, "SLICE", 10)


def steps(connection: Connection, counter: RowCounter) -> list[tuple[bool, float]]:
    """Count one round; return what each step says, and the progress after it."""
    results: list[tuple[bool, float]] = []
    while not (results and results[-1][0]):
        results.append((counter.step(connection), round(counter.progress, 3)))
    return results


def rows(counter: RowCounter) -> int:
    return sum(number for *_, number in counter.payload()["rows"])


@pytest.mark.usefixtures("small_slices")
def test_round_counts_every_row_in_exactly_one_slice(harness: Harness) -> None:
    ids = harness.publications(harness.account("acc_1"), 25)
    assert ids == list(range(1, 26))
    counter = RowCounter()

    with harness.scheduler.connect() as connection:
        assert (counter.complete, counter.counted_from) == (False, None)
        assert steps(connection, counter) == [(False, 0.4), (False, 0.8), (True, 1.0)]

    assert {number: one.groups[0].rows for number, one in counter.slices.items()} == {0: 10, 1: 10, 2: 5}
    assert counter.complete
    assert rows(counter) == 25
    earlier = datetime.now(UTC) - timedelta(hours=1)
    counter.slices[1] = replace(counter.slices[1], counted_at=earlier)
    assert counter.counted_from == earlier, "when the oldest slice was counted"


@pytest.mark.usefixtures("small_slices")
def test_next_round_skips_gaps_and_forgets_slices_without_rows(harness: Harness) -> None:
    harness.publications(harness.account("acc_1"), 31)
    counter = RowCounter()

    with harness.scheduler.connect() as connection:
        steps(connection, counter)
        connection.rollback()
        harness.execute("DELETE FROM publications WHERE id NOT IN (1, 20, 31)")
        assert counter.step(connection) is False
        assert (rows(counter), counter.complete) == (31 - 9, True), "a slice is replaced by its next count"
        assert steps(connection, counter) == [(False, round(20 / 31, 3)), (True, 1.0)]

    assert sorted(counter.slices) == [0, 1, 3]
    assert rows(counter) == 3


def test_fleet_without_rows_is_counted_at_once(harness: Harness) -> None:
    counter = RowCounter()
    with harness.scheduler.connect() as connection:
        assert counter.step(connection) is True

    assert (counter.complete, counter.counted_from) == (True, None)


def test_rows_are_grouped_by_state_due_time_and_recent_outcome(harness: Harness) -> None:
    now = datetime.now(UTC)
    states: list[tuple[str, timedelta | None, str, str]] = [
        ("stale", timedelta(0), "synced", "synced"),
        ("stale", timedelta(microseconds=1), "synced", "synced"),
        ("retry", timedelta(hours=1), "synced", "retry"),
        ("stopped", None, "failed", "gone"),
    ]
    account = harness.account("acc_1", Platform.X)
    ids = harness.publications(account, len(states))
    with harness.engine.connect() as connection:
        for one, (reason, wait, status, outcome) in zip(ids, states, strict=True):
            bound = {"id": one, "reason": reason, "wait": wait, "status": status, "outcome": outcome}
            age = timedelta(seconds=60 if outcome == "retry" else 59)
            connection.execute(STATE, bound)
            connection.execute(ANALYTICS, bound | {"detail": "x" * 250, "age": age})
        counter = RowCounter()
        counter.step(connection)
        connection.rollback()

    assert counter.counted_from
    assert counter.counted_from >= now
    figures = counter.payload()
    figures["causes"].sort()
    assert figures == {
        "rows": [["x", "failed", 1], ["x", "synced", 3]],
        "runs": [["x", "retry", 1], ["x", "stale", 2], ["x", "stopped", 1]],
        "due": [["x", 1]],
        "polled": [["x", 3]],
        "fresh": [["x", 1]],
        "blocked": [],
        "recent": [["x", "gone", 1], ["x", "synced", 2]],
        "causes": [["x", "gone", "x" * 200, 1], ["x", "retry", "x" * 200, 1]],
        "more_causes": 0,
    }


def test_rows_of_blocked_accounts_are_counted_unless_they_are_fresh(harness: Harness) -> None:
    for account, kind in (("acc_1", "blocked"), ("acc_2", "account"), ("acc_3", "blocked")):
        harness.publications(harness.account(account, Platform.X), 2)
        harness.execute(
            "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
            " VALUES ('x', :kind, :account, now() + interval '1 hour', 'Blocked.')",
            kind=kind,
            account=account,
        )
    fresh = "UPDATE refresh_state SET reason = 'stale', next_run_at = now() + interval '1 hour'"
    harness.execute(f"{fresh} WHERE publication_id = (SELECT min(publication_id) FROM refresh_state)")

    assert causes(harness)["blocked"] == [["x", 3]]


def test_causes_are_those_of_bad_outcomes_and_statuses_the_most_frequent_first(harness: Harness) -> None:
    account = harness.account("acc_1", Platform.X)
    kinds = list(OutcomeKind)
    ids = harness.publications(account, len(kinds))
    for one, kind in zip(ids, kinds, strict=True):
        harness.execute(
            "UPDATE post_analytics SET sync_status = 'synced', outcome = :outcome WHERE publication_id = :id",
            outcome=kind.value,
            id=one,
        )
    bad = sorted(kind.value for kind in kinds if kind.group is OutcomeGroup.BAD)

    assert [cause[:3] for cause in sorted(causes(harness)["causes"])] == [["x", kind, ""] for kind in bad]

    many = harness.publications(harness.account("acc_2", Platform.X), 43)
    for number, one in enumerate(many):
        harness.execute(
            "UPDATE post_analytics SET sync_status = 'failed', outcome = 'retry', outcome_detail = :detail"
            " WHERE publication_id = :id",
            detail=f"cause {max(number, 1)}",
            id=one,
        )
    result = causes(harness)
    assert (len(result["causes"]), result["more_causes"]) == (40, 42 + len(bad) - 40)
    assert result["causes"][0] == ["x", "retry", "cause 1", 2]


def causes(harness: Harness) -> dict[str, Any]:
    counter = RowCounter()
    with harness.scheduler.connect() as connection:
        counter.step(connection)
    return counter.payload()
