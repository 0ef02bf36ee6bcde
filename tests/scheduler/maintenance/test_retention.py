"""The scheduler's tick of retention: off unless asked for, patient with locks, loud without rights."""

from datetime import timedelta

from prometheus_client import REGISTRY
from sqlalchemy import text
from structlog.testing import capture_logs

from scheduler.maintenance.retention import RetentionTick
from shared.observability import metrics
from shared.retention.policy import Retention
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
