"""The scheduler's tick of retention: off unless asked for, patient with locks, loud without rights."""

from contextlib import nullcontext
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from structlog.testing import capture_logs

from scheduler.maintenance import retention
from scheduler.maintenance.retention import RetentionTick
from shared.observability import metrics
from shared.retention.overdue import Overdue
from shared.retention.policy import DataClass, Group, Retention
from shared.retention.run import Done
from tests.harness import Harness
from tests.shared.retention.history import make_months, month_start, reading, stored

ON = Retention.parse("on")


def fill(harness: Harness) -> None:
    (one,) = harness.publications(harness.account("acc_1"))
    make_months(harness, 6)
    reading(harness, one, month_start(6), 1)


def test_upgrade_removes_nothing(harness: Harness) -> None:
    fill(harness)

    assert RetentionTick(harness.engine, Retention.parse("")).run() is None

    assert len(stored(harness, "snapshots")) == 1
    assert harness.execute("SELECT FROM retention_runs") == []


def test_run_goes_on_until_a_month_is_dropped(harness: Harness) -> None:
    fill(harness)
    tick = RetentionTick(harness.engine, ON)

    with capture_logs() as logged:
        rests = [tick.run()]
        late = REGISTRY.get_sample_value(
            "dravo_retention_behind_seconds", {"class": "readings", "platform": "x"}
        )
        rests += [tick.run() for _ in range(3)]

    assert [line["what"] for line in logged] == ["default_removed", "rolled_up", "detached", "dropped"]
    assert all(rest is not None and rest > timedelta() for rest in rests[:3])
    assert rests[3] is None
    assert late is not None
    assert late > timedelta(days=30).total_seconds()


def test_lock_ends_the_run_with_a_log_line(harness: Harness) -> None:
    fill(harness)

    with capture_logs() as logged, harness.engine.begin() as connection:
        connection.execute(text("LOCK TABLE snapshots IN ACCESS SHARE MODE"))
        assert RetentionTick(harness.engine, ON).run() is None

    assert [line["event"] for line in logged] == ["retention_waits"]


def behind() -> dict[tuple[str, str], float]:
    """Return the exported seconds by class and platform."""
    (family,) = metrics.RETENTION_BEHIND.collect()
    return {(one.labels["class"], one.labels["platform"]): one.value for one in family.samples}


def test_scheduler_in_its_role_measures_and_leaves_the_removal_to_the_owner(harness: Harness) -> None:
    fill(harness)
    RetentionTick(harness.engine, ON).run()
    of_owner = behind()
    metrics.RETENTION_BEHIND.clear()
    tick = RetentionTick(harness.scheduler, ON)

    with capture_logs() as logged:
        assert [tick.run() for _ in range(2)] == [None, None]

    assert [line["event"] for line in logged] == ["retention_left_to_owner"]
    assert behind().keys() == of_owner.keys()
    assert behind()["readings", "x"] > timedelta(days=30).total_seconds()
    assert len(stored(harness, "snapshots")) == 1


def test_run_measures_once_and_ends_with_a_month_an_error_or_nothing_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured: list[list[Overdue]] = [
        [Overdue(DataClass.GONE, Group.X, timedelta(hours=hours)) for hours in (2, 5, 3)],
        [Overdue(DataClass.EVENTS, None, timedelta())],
        *([[]] * 2),
    ]
    on, off = Done("expired", "events_seen", 9, again=True), Done("dropped", "m", 1, again=False)
    no_right = ProgrammingError("", {}, Exception("no right\nDETAIL"))
    runs: list[list[Done | Exception | None]] = [[on, on, off], [on, None], [no_right], [None]]

    class Scripted:
        """A run with the next list of steps."""

        def __init__(self, *_: object) -> None:
            self._steps = runs.pop(0)

        def step(self) -> Done | None:
            """Do the next step."""
            done = self._steps.pop(0)
            if isinstance(done, Exception):
                raise done
            return done

    monkeypatch.setattr(retention, "Run", Scripted)
    monkeypatch.setattr(retention, "may_run", lambda _: True)
    monkeypatch.setattr(retention, "overdue", lambda *_: measured.pop(0))
    nobody: Any = SimpleNamespace(connect=nullcontext)
    tick = RetentionTick(nobody, ON)

    with capture_logs() as logged:
        rests = [tick.run() is not None for _ in range(3)]
        assert behind() == {("gone", "x"): 5 * 3600}
        rests += [tick.run() is not None for _ in range(2)]
        assert behind() == {("events", "all"): 0}
        rests += [tick.run() is not None for _ in range(2)]

    assert rests == [True, True, False, True, False, False, False]
    assert (runs, measured) == ([], [])
    failed = [line for line in logged if line["event"] != "retention_step"]
    assert [(line["event"], line["detail"]) for line in failed] == [("retention_step_failed", "no right")]
