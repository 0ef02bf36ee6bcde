"""Fleet metrics are read from real stores, absent when unknown, and cheap at any size."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import redis
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection

from scheduler.metrics import fleet_metrics, gauges
from scheduler.metrics.fleet_metrics import FleetMetrics
from shared import refresh_queue
from shared.observability.metrics import FLEET_GAUGES, FRESH
from shared.quota import pauses
from shared.redis_client import RedisClient
from shared.vocabulary import Lane, PauseKind, Platform
from tests.harness import Harness


class Scraped:
    """Fleet metrics behind a registry: read from the stores once, then scraped as Prometheus does."""

    def __init__(self, harness: Harness, client: RedisClient) -> None:
        self.metrics = FleetMetrics(harness.scheduler, client)
        self.registry = CollectorRegistry(auto_describe=True)
        self.registry.register(self.metrics)
        self.metrics.read()

    def __call__(self, name: str, **labels: str) -> float | None:
        """Return the value of a metric, or ``None`` when it is absent."""
        return self.registry.get_sample_value(f"dravo_{name}", labels)


class Leaving:
    """A Redis client that loses its server once ``away`` is not empty."""

    def __init__(self, client: RedisClient, away: list[bool]) -> None:
        self._client = client
        self._away = away

    def __getattr__(self, name: str) -> Any:
        if self._away:
            raise redis.ConnectionError
        return getattr(self._client, name)


@contextmanager
def explained(connection: Connection) -> Iterator[list[str]]:
    """Collect the plans of what runs on this connection, as they were carried out."""
    plans: list[str] = []
    connection.exec_driver_sql("LOAD 'auto_explain'")
    for setting in ("log_min_duration = 0", "log_analyze = on"):
        connection.exec_driver_sql(f"SET auto_explain.{setting}")
    connection.exec_driver_sql("SET client_min_messages = log")
    raw = connection.connection.driver_connection
    assert isinstance(raw, psycopg.Connection)
    raw.add_notice_handler(lambda notice: plans.append(notice.message_primary or ""))
    yield plans


def test_oldest_overdue_row_is_exported_by_platform(harness: Harness, client: RedisClient) -> None:
    harness.account("acc_1", Platform.X)
    harness.publications("acc_1", 3, next_run_at=datetime.now(UTC) - timedelta(minutes=10))
    harness.publications(
        harness.account("acc_2", Platform.X), next_run_at=datetime.now(UTC) - timedelta(hours=1)
    )
    harness.publications(
        harness.account("acc_3", Platform.TIKTOK), next_run_at=datetime.now(UTC) + timedelta(hours=1)
    )
    harness.account("acc_4", Platform.FACEBOOK, state="disconnected")
    scraped = Scraped(harness, client)
    assert scraped("oldest_overdue_seconds", platform="x", paused="false") == pytest.approx(3600, abs=60)
    assert scraped("oldest_overdue_seconds", platform="tiktok", paused="false") == 0
    assert scraped("oldest_overdue_seconds", platform="facebook", paused="false") is None
    assert scraped("accounts", platform="facebook", state="disconnected") == 1
    assert scraped("accounts", platform="x", state="active") == 2
    assert scraped("accounts", platform="x", state="requires_reconnect") == 0


def test_overdue_rows_behind_a_pause_are_exported_apart(harness: Harness, client: RedisClient) -> None:
    harness.publications(
        harness.account("acc_1", Platform.X), next_run_at=datetime.now(UTC) - timedelta(hours=2)
    )
    harness.publications(
        harness.account("acc_2", Platform.X), next_run_at=datetime.now(UTC) - timedelta(hours=1)
    )
    until = datetime.now(UTC) + timedelta(minutes=15)
    with harness.engine.begin() as connection:
        pauses.pause(
            connection, platform="x", kind=PauseKind.ACCOUNT, subject="acc_1", until=until, reason="a limit"
        )
    scraped = Scraped(harness, client)
    assert scraped("oldest_overdue_seconds", platform="x", paused="true") == pytest.approx(7200, abs=60)
    assert scraped("oldest_overdue_seconds", platform="x", paused="false") == pytest.approx(3600, abs=60)
    assert scraped("pauses", platform="x", kind="account") == 1
    assert scraped("parked_until_timestamp_seconds", platform="x", kind="account") == pytest.approx(
        until.timestamp(), abs=1
    )


def test_shares_and_percentiles_cover_polled_rows_alone(harness: Harness, client: RedisClient) -> None:
    account = harness.account("acc_1", Platform.X)
    harness.publications(account, 6, reason="stale", next_run_at=datetime.now(UTC) + timedelta(hours=1))
    harness.publications(
        harness.account("acc_2", Platform.X),
        3,
        reason="retry",
        next_run_at=datetime.now(UTC) + timedelta(hours=1),
    )
    harness.publications(
        harness.account("acc_3", Platform.X),
        reason="stale",
        next_run_at=datetime.now(UTC) - timedelta(hours=1),
    )
    harness.publications(harness.account("acc_4", Platform.X), 5, reason="stopped", next_run_at=None)
    scraped = Scraped(harness, client)
    assert scraped("fresh_ratio", platform="x") == pytest.approx(0.6)
    assert scraped("overdue_p50_seconds", platform="x") == 0
    assert scraped("overdue_p99_seconds", platform="x") == pytest.approx(3600, abs=60)


def test_large_table_is_sampled(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    harness.account("acc_1", Platform.X)
    harness.execute(
        "INSERT INTO publications (workspace_id, post_id, account_id, platform, platform_post_id, created_at)"
        " SELECT 'ws_1', 'post_' || n, 'acc_1', 'x', n, now() FROM generate_series(1, 20000) n"
    )
    harness.execute(
        "INSERT INTO refresh_state (publication_id, account_id, reason, next_run_at)"
        " SELECT id, account_id, 'stale', now() + interval '1 hour' FROM publications"
    )
    pages = harness.execute("SELECT pg_relation_size('refresh_state') / current_setting('block_size')::int")[
        0
    ][0]
    monkeypatch.setattr(gauges, "SAMPLED_PAGES", pages // 5)
    with harness.engine.begin() as connection, explained(connection) as plans:
        values = {(fact, labels): value for fact, labels, value in gauges.sample(connection)}
    assert values[FRESH, ("x",)] == 1
    (sampled,) = re.findall(r"Sample Scan on refresh_state.* rows=(\d+)", "\n".join(plans))
    assert 1_000 < int(sampled) < 10_000


def test_pauses_in_force_are_counted_with_the_end_of_the_last(harness: Harness, client: RedisClient) -> None:
    now = datetime.now(UTC)
    ends = (now - timedelta(hours=1), now + timedelta(hours=2), now + timedelta(hours=1))
    for number, until in enumerate(ends):
        harness.execute(
            "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
            " VALUES ('x', 'account', :subject, :until, '')",
            subject=f"acc_{number}",
            until=until,
        )
    scraped = Scraped(harness, client)
    assert scraped("pauses", platform="x", kind="account") == 2
    assert scraped("parked_until_timestamp_seconds", platform="x", kind="account") == pytest.approx(
        (now + timedelta(hours=2)).timestamp()
    )


def test_oldest_transaction_is_that_of_another_session_whatever_its_role(harness: Harness) -> None:
    def begun(connection: Connection) -> datetime:
        at: datetime = connection.exec_driver_sql("SELECT now()").scalar_one()
        return at

    with harness.scheduler.connect() as reading:
        with harness.context.engine.connect() as first, harness.engine.connect() as second:
            oldest, newer = begun(first), begun(second)
            ((_, _, seconds),) = gauges.transactions(reading)
            age = begun(reading) - oldest

        assert seconds == pytest.approx(age.total_seconds(), abs=1e-5)
        assert age > begun(reading) - newer
        reading.rollback()
        assert [value for _, _, value in gauges.transactions(reading)] == [0], "its own does not count"


def test_claims_queues_and_workers_are_counted(harness: Harness, client: RedisClient) -> None:
    account = harness.account("acc_1", Platform.X)
    harness.publications(
        account,
        2,
        claimed_at=datetime.now(UTC),
        next_run_at=datetime.now(UTC) + timedelta(minutes=1),
        reason="claimed",
    )
    client.rpush(f"{refresh_queue.NAMESPACE}:{Lane.BACKGROUND.value}", "a", "b", "c")
    refresh_queue.report_alive(client, "host:1", 8)
    refresh_queue.report_alive(client, "host:2", 4)
    scraped = Scraped(harness, client)
    assert scraped("claimed_publications", platform="x") == 2
    assert scraped("queue_depth", lane="background") == 3
    assert scraped("queue_depth", lane="interactive") == 0
    assert (scraped("workers_alive"), scraped("worker_threads_alive")) == (2, 12)


def test_store_that_does_not_answer_is_reported_and_never_exported_as_zero(
    harness: Harness, client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    refresh_queue.report_alive(client, "host:1", 8)
    away: list[bool] = []
    scraped = Scraped(harness, Leaving(client, away))
    assert (scraped("workers_alive"), scraped("fleet_read_up", read="queue")) == (1, 1)

    away.append(True)
    scraped.metrics.read()
    assert scraped("fleet_read_up", read="queue") == 0
    assert scraped("fleet_read_up", read="overdue") == 1
    assert scraped("workers_alive") == 1  # a while ago, and recent enough
    monkeypatch.setattr(fleet_metrics, "EXPORTED_FOR", timedelta(seconds=-1))
    assert scraped("workers_alive") is None
    assert scraped("fleet_read_up", read="queue") == 0


def test_failing_query_loses_only_its_own_samples(harness: Harness, client: RedisClient) -> None:
    harness.publications(harness.account("acc_1", Platform.X))
    harness.execute("ALTER TABLE pauses RENAME TO elsewhere")
    harness.execute("CREATE VIEW pauses AS SELECT * FROM elsewhere WHERE 1 / (SELECT 0) = 1")
    scraped = Scraped(harness, client)
    assert scraped("fleet_read_up", read="paused") == 0
    assert scraped("fleet_read_up", read="sample") == 1
    assert scraped("fresh_ratio", platform="x") == 0


def test_registering_queries_no_store(harness: Harness, client: RedisClient) -> None:
    view = FleetMetrics(harness.scheduler, client)
    harness.engine.dispose()
    assert {family.name for family in view.describe()} == {fact.name for fact in FLEET_GAUGES}
    assert all(not family.samples for family in view.collect())


def test_stuck_rows_are_exported_by_platform_and_queried_rarely(
    harness: Harness, client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.publications(harness.account("acc_1", Platform.X), 2, reason="blocked", next_run_at=None)
    scraped = Scraped(harness, client)
    assert scraped("stuck_publications", platform="x", breach="never_due") == 2
    assert scraped("stuck_publications", platform="x", breach="not_active") == 0
    assert scraped("stuck_publications", platform="tiktok", breach="never_due") == 0

    harness.execute("UPDATE refresh_state SET next_run_at = now()")
    now = time.monotonic()
    for seconds, expected in ((295, 2), (301, 0)):
        monkeypatch.setattr(time, "monotonic", lambda seconds=seconds: now + seconds)
        scraped.metrics.read()
        assert scraped("stuck_publications", platform="x", breach="never_due") == expected


def test_stop_needs_an_operator_until_a_call_is_accepted(harness: Harness, client: RedisClient) -> None:
    with harness.engine.begin() as connection:
        pauses.pause(
            connection,
            platform="x",
            kind=PauseKind.CREDITS,
            subject="",
            until=datetime.now(UTC) + timedelta(hours=1),
            reason="Our credits are used up.",
        )
    scraped = Scraped(harness, client)
    assert scraped("operator_needed", platform="x", kind="credits") == 1
    assert scraped("operator_needed", platform="tiktok", kind="misconfigured") == 0

    for ended, expected in (("1 minute", 1), ("2 days", 0)):
        harness.execute(f"UPDATE pauses SET paused_until = now() - interval '{ended}'")
        scraped.metrics.read()
        assert scraped("operator_needed", platform="x", kind="credits") == expected


def test_part_of_reads_that_were_right_covers_the_last_day_by_workspace_and_platform(
    harness: Harness,
) -> None:
    for workspace, platform, hours, reads, within in (
        ("ws_1", "x", 1, 10, 9),
        ("ws_1", "x", 23, 30, 11),
        ("ws_1", "x", 25, 1000, 0),
        ("ws_1", "tiktok", 1, 4, 4),
        ("ws_2", "x", 1, 5, 0),
    ):
        harness.execute(
            "INSERT INTO read_accuracy (workspace_id, platform, hour, reads, within)"
            " VALUES (:workspace, :platform, now() - make_interval(hours => :hours), :reads, :within)",
            workspace=workspace,
            platform=platform,
            hours=hours,
            reads=reads,
            within=within,
        )

    with harness.scheduler.connect() as connection:
        shares = {labels: value for _, labels, value in gauges.reads_within(connection)}

    assert shares == {("ws_1", "x"): 0.5, ("ws_1", "tiktok"): 1.0, ("ws_2", "x"): 0.0}
