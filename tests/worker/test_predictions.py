"""The predictions that refreshes have judged are added up and written now and then."""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy.exc import OperationalError

from shared.freshness.promise import judged
from shared.outcome_kinds import OutcomeKind
from shared.vocabulary import Platform, Reason, SyncStatus
from tests.harness import Harness
from worker import predictions
from worker.claims import StartedRow
from worker.outcomes.outcome import Outcome
from worker.predictions import PredictionCounter
from worker.readings import Publication

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
BEFORE: Mapping[str, Any] = {"age": 10.0, "value": 100.0, "half_life": 20.0, "counted": 4}
AFTER: Mapping[str, Any] = {"age": 30.0, "value": 110.0, "counted": 9}


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Stand in for the process's clock; the test sets it."""
    clock = SimpleNamespace(at=1_000.0)
    monkeypatch.setattr(predictions, "time", SimpleNamespace(monotonic=lambda: clock.at))
    return clock


def refreshed(
    number: int = 1, before: Mapping[str, Any] | None = BEFORE, after: Mapping[str, Any] | None = AFTER
) -> list[Outcome]:
    rows = [
        StartedRow(
            publication=Publication(one, f"post_{one}", None, None, NOW),
            claim_seq=1,
            attempts=1,
            unfinished=1,
            missing_since=None,
            sync_status=SyncStatus.SYNCED,
            metrics={},
            warnings=(),
            last_updated_at=None,
            snapshot_at=None,
            freshness=before,
        )
        for one in range(number)
    ]
    return [Outcome(row, OutcomeKind.SYNCED, Reason.STALE, NOW, 0, freshness=after) for row in rows]


def stored(harness: Harness) -> dict[tuple[str, int], tuple[float, float]]:
    rows = harness.execute("SELECT platform, error_bin, refreshes, within FROM growth_predictions")
    return {(row.platform, row.error_bin): (row.refreshes, row.within) for row in rows}


def expected(times: float = 1, platform: str = "x") -> dict[tuple[str, int], Any]:
    sums: dict[tuple[str, int], Any] = {}
    for error_class, reads, within in judged(BEFORE, AFTER):
        old = sums.get((platform, error_class), (0, 0))
        sums[platform, error_class] = old[0] + times * reads, old[1] + times * within
    return {key: pytest.approx(one) for key, one in sums.items()}


def test_predictions_are_written_twice_a_minute(harness: Harness, clock: SimpleNamespace) -> None:
    counter = PredictionCounter()
    for at, times in ((1_000.0, 0), (1_029.9, 0), (1_030.0, 3), (1_059.9, 3), (1_060.0, 5)):
        clock.at = at
        counter.count(harness.context.engine, Platform.X, refreshed())
        assert stored(harness) == (expected(times) if times else {})


def test_predictions_are_counted_by_platform_and_class(harness: Harness) -> None:
    assert len(expected()) > 1
    counter = PredictionCounter()
    for platform in (Platform.X, Platform.TIKTOK, Platform.X):
        counter.count(harness.context.engine, platform, refreshed())
    counter.write(harness.context.engine)
    counter.write(harness.context.engine)

    assert stored(harness) == {**expected(2), **expected(1, "tiktok")}


def test_sample_of_ten_rows_of_a_job_is_judged(harness: Harness) -> None:
    counter = PredictionCounter()
    for number in (0, 7, 40):
        counter.count(harness.context.engine, Platform.X, refreshed(number))
    counter.write(harness.context.engine)

    assert stored(harness) == expected(17)


def test_rows_without_two_measurements_judge_nothing(harness: Harness) -> None:
    counter = PredictionCounter()
    counter.count(harness.context.engine, Platform.X, [*refreshed(before=None), *refreshed(after=None)])
    counter.write(harness.context.engine)

    assert stored(harness) == {}


@pytest.mark.parametrize(("reads", "part"), [(20_000.0, 1.0), (20_001.0, 0.5)])
def test_old_predictions_fade(harness: Harness, reads: float, part: float) -> None:
    for platform, error_class in expected():
        harness.execute(
            "INSERT INTO growth_predictions VALUES (:platform, :error_class, :reads, 8000), ('x', 1, 7, 7)"
            " ON CONFLICT DO NOTHING",
            platform=platform,
            error_class=error_class,
            reads=reads,
        )
    counter = PredictionCounter()
    counter.count(harness.context.engine, Platform.X, refreshed())

    counter.write(harness.context.engine)

    assert stored(harness).pop(("x", 1)) == (7, 7)
    added = {key: one.expected for key, one in expected().items()}
    assert {key: one for key, one in stored(harness).items() if key in added} == {
        key: pytest.approx((part * reads + more, part * 8000 + within))
        for key, (more, within) in added.items()
    }


def test_predictions_of_a_time_without_the_database_are_dropped(
    harness: Harness, clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    def away() -> None:
        raise OperationalError("INSERT", {}, Exception("away"))

    counter = PredictionCounter()
    clock.at = 1_030.0
    counter.count(SimpleNamespace(begin=away), Platform.X, refreshed())  # type: ignore[arg-type] # an engine without a server

    assert "predictions_not_counted" in capsys.readouterr().out
    counter.write(harness.context.engine)
    assert stored(harness) == {}


def test_nothing_counted_is_not_written() -> None:
    PredictionCounter().write(cast("Any", None))
