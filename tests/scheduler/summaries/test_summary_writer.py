"""The summary writer: one in the fleet, exact figures, history by the minute, and rests between counts."""

import threading
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection, text

from scheduler.summaries import summary_writer
from scheduler.summaries.summary_writer import SummaryWriter
from shared import redis_client, refresh_queue
from shared.quota import pauses
from shared.redis_client import RedisClient
from shared.vocabulary import Lane, PauseKind, Platform
from tests.harness import Harness

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def writer(harness: Harness, client: RedisClient) -> SummaryWriter:
    return SummaryWriter(harness.scheduler, client)


def write(harness: Harness, writer: SummaryWriter, *, counted: bool = True) -> None:
    with harness.scheduler.connect() as connection:
        if counted:
            writer.counter.step(connection)
        writer.write(connection)


def summary(harness: Harness) -> dict[str, Any]:
    return {row.part: row.payload for row in harness.execute("SELECT part, payload FROM ops_summary")}


def test_live_figures_are_those_of_database_and_queue(
    harness: Harness, writer: SummaryWriter, client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summary_writer, "_MOST_QUARANTINED", 2)
    harness.publications(harness.account("acc_1", Platform.X), 3, reason="quarantined", next_run_at=None)
    harness.publications(
        harness.account("acc_2", Platform.X), 2, reason="claimed", claimed_at=NOW, next_run_at=NOW + HOUR
    )
    harness.account("acc_3", Platform.TIKTOK, state="disconnected")
    refresh_queue.report_alive(client, "host:1", 8)
    broker = refresh_queue.broker(client)
    refresh_queue.enqueue(broker, Lane.BACKGROUND, [refresh_queue.RefreshJob("acc_2", ((1, 1),))])

    write(harness, writer, counted=False)

    live = summary(harness)["live"]
    assert sorted(live.pop("accounts")) == [["tiktok", "disconnected", 1], ["x", "active", 2]]
    assert live == {
        "overdue": [],
        "stuck": 0,
        "delays": [],
        "worker_details": {},
        "quarantined": 2,
        "quarantined_or_more": True,
        "claimed": 2,
        "queues": {"interactive": 0, "background": 1},
        "workers": {"host:1": 8},
        "redis_error": None,
        "progress": 0.0,
    }
    assert summary(harness).keys() == {"live"}, "rows are written once all have been counted"


def test_history_has_a_point_for_each_platform_and_minute(harness: Harness, writer: SummaryWriter) -> None:
    harness.execute(
        "INSERT INTO ops_history (at, platform, polled, fresh, outcomes)"
        " SELECT now() - make_interval(hours => n), 'x', n, n, '{}' FROM unnest(ARRAY[193, 191]) n"
    )
    for account, platform, hours in (("acc_x", Platform.X, 2), ("acc_paused", Platform.X, 3)):
        harness.publications(harness.account(account, platform), next_run_at=NOW - hours * HOUR)
    harness.publications(
        harness.account("acc_tt", Platform.TIKTOK), 2, next_run_at=NOW + HOUR, reason="stale"
    )
    harness.execute(
        "UPDATE post_analytics SET attempted_at = now(), outcome = 'synced' FROM publications p"
        " WHERE p.id = publication_id AND p.account_id = 'acc_tt'"
    )
    with harness.engine.begin() as connection:
        pauses.pause(
            connection,
            platform="x",
            kind=PauseKind.ACCOUNT,
            subject="acc_paused",
            until=NOW + 9 * HOUR,
            reason="",
        )

    write(harness, writer)
    harness.execute("UPDATE post_analytics SET outcome = 'retry'")
    write(harness, writer)

    points = harness.execute("SELECT * FROM ops_history ORDER BY at, platform")
    assert [(point.platform, point.polled, point.fresh, point.outcomes) for point in points] == [
        ("x", 191, 191, {}),
        ("tiktok", 2, 2, {"synced": 2}),
        ("x", 2, 0, {}),
    ], "points of eight days, and none twice within half a minute"
    assert points[1].oldest_overdue_seconds is None
    assert points[2].oldest_overdue_seconds == pytest.approx(3 * 3600, abs=900)
    assert points[1].at == points[1].at.replace(second=0, microsecond=0)
    assert summary(harness)["live"]["progress"] is None


def test_next_point_is_written_after_half_a_minute(
    harness: Harness, writer: SummaryWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.publications(harness.account("acc_x", Platform.X))
    clock = 1000.0
    monkeypatch.setattr(summary_writer, "time", SimpleNamespace(monotonic=lambda: clock))
    for seconds in (0, 30, 31):
        clock = 1000.0 + seconds
        write(harness, writer)
        harness.execute("UPDATE ops_history SET at = at - interval '1 minute'")

    assert harness.execute("SELECT count(*) FROM ops_history") == [(2,)]


class Waits(threading.Event):
    """Records how long it is waited for, and lets that time pass at once; it is set at the last wait."""

    def __init__(self, most: int = 100) -> None:
        super().__init__()
        self.now = 100.0
        self._most = most
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        """Let the time pass."""
        assert timeout is not None
        self.waits.append(round(timeout, 6))
        self.now += timeout
        if len(self.waits) == self._most:
            self.set()
        return self.is_set()


class Counter:
    """Counts each slice in a tenth of a second; the last slice ends the round."""

    def __init__(self, waits: Waits, slices: int) -> None:
        self._waits, self._left = waits, slices

    def step(self, connection: Connection) -> bool:
        """Count a slice."""
        assert not connection.in_transaction()
        connection.exec_driver_sql("SELECT 1")
        self._waits.now += 0.1
        self._left -= 1
        return self._left == 0


@pytest.mark.parametrize(
    ("slices", "waits"), [(9, [0.6, 0.6, 0.6]), (3, [0.6, 0.6, 0.5]), (2, [0.6, 1.2]), (1, [1.9])]
)
def test_counting_rests_six_times_as_long_as_it_worked_until_its_time_is_up(
    harness: Harness, writer: SummaryWriter, monkeypatch: pytest.MonkeyPatch, slices: int, waits: list[float]
) -> None:
    event = Waits()
    monkeypatch.setattr(summary_writer, "time", SimpleNamespace(monotonic=lambda: event.now))
    writer._stopping = event
    writer.counter = Counter(event, slices)  # type: ignore[assignment] # only its steps are used here

    with harness.scheduler.connect() as connection:
        writer._count_until(connection, event.now + 2)
        assert not connection.in_transaction()

    assert event.waits == waits


def test_only_the_writer_that_has_the_lock_writes_and_it_unlocks_at_its_end(
    harness: Harness, writer: SummaryWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = Waits(most=2)
    monkeypatch.setattr(summary_writer, "time", SimpleNamespace(monotonic=lambda: event.now))
    with harness.scheduler.connect() as other:
        assert summary_writer._lock(other)
        writer._stopping = event
        writer._run()
        other.execute(text("SELECT pg_advisory_unlock_all()"))
    assert summary(harness) == {}
    assert event.waits == [2.0, 2.0]

    writer._stopping = event = Waits(most=3)
    writer._run()

    assert summary(harness).keys() == {"live", "rows"}
    with harness.scheduler.connect() as other:
        assert summary_writer._lock(other)
        other.execute(text("SELECT pg_advisory_unlock_all()"))


def test_writer_without_redis_reports_unknown_queues(harness: Harness) -> None:
    write(harness, SummaryWriter(harness.scheduler, redis_client.connect("redis://127.0.0.1:1/0")))

    live = summary(harness)["live"]
    assert (live["queues"], live["workers"], live["redis_error"]) == (None, None, "Redis does not answer.")
