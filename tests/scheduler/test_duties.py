"""The scheduler's duties beside handing out rows: each has its interval, its slice and its next run."""

import threading
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, Final

import pytest
import redis
from prometheus_client import REGISTRY
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from scheduler import __main__ as program
from scheduler import listener
from scheduler import ticks as module
from scheduler.freshness import FreshnessTicks
from scheduler.maintenance import erasures
from scheduler.maintenance.erasures import Erasures
from scheduler.maintenance.retention import RetentionTick
from scheduler.probes import probe
from scheduler.ticks import Ticks
from shared import refresh_queue
from shared.changes import maintenance
from shared.erasure.places.log_files import LogFilesError
from shared.erasure.run import Done
from shared.observability.exporter import Heartbeat
from shared.redis_client import RedisClient
from shared.refresh_state.notifications import DUE_CHANNEL
from shared.refresh_state.ready.sweep import Swept
from shared.retention.policy import Retention
from shared.settings import Settings
from shared.vocabulary import Platform
from tests.faults.harness.waiting import wait_until
from tests.harness import Harness

SECOND: Final = timedelta(seconds=1)
MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)


@pytest.fixture
def ticks(harness: Harness, client: RedisClient) -> Ticks:
    return Ticks(harness.context.settings, harness.scheduler, client, refresh_queue.broker(client))


def test_every_duty_is_scheduled_at_its_interval_and_handing_out_waits_for_none(
    harness: Harness, ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: dict[str, Any] = {}
    monkeypatch.setattr(
        program, "Schedule", lambda schedule, urgent: made.update(schedule=schedule, urgent=urgent)
    )
    named: Any = SimpleNamespace(
        run="run",
        adjust_pressure="adjust",
        refit="refit",
        replanning=SimpleNamespace(run="replan"),
        read="read",
    )
    heartbeat, beats = Heartbeat(SECOND), threading.Semaphore(0)
    settings = harness.context.settings.model_copy(update={"tick_seconds": 2.0})

    program._schedule(settings, ticks, named, named, named, named, heartbeat)

    assert made["urgent"] == {"hand_out"}
    assert {name: every for name, (_, every) in made["schedule"].items()} == {
        "hand_out": 2 * SECOND,
        "make_partitions": HOUR,
        "sweep_timers": 5 * SECOND,
        "renew_tokens": HOUR,
        "probe_budgets": 30 * SECOND,
        "check_budget": HOUR,
        "fill_changes": MINUTE,
        "purge_changes": HOUR,
        "erase": 5 * SECOND,
        "retain": HOUR,
        "adjust_pressure": 10 * MINUTE,
        "refit_half_lives": 24 * HOUR,
        "replan": 5 * SECOND,
        "read_fleet_metrics": made["schedule"]["read_fleet_metrics"][1],
    }
    called = {name: getattr(tick, "__name__", tick) for name, (tick, _) in made["schedule"].items()}
    assert all(called[name] == name for name in ("hand_out", "make_partitions", "sweep_timers"))
    assert all(called[name] == name for name in ("renew_tokens", "probe_budgets", "check_budget"))
    assert all(called[name] == name for name in ("fill_changes", "purge_changes"))
    assert (called["erase"], called["refit_half_lives"], called["replan"]) == ("run", "refit", "replan")
    hand_out, _ = made["schedule"]["hand_out"]
    monkeypatch.setattr(ticks, "hand_out", lambda: 3)
    heartbeat.beat = beats.release  # type: ignore[method-assign]
    assert hand_out() == SECOND / 2, "work is handed out four times in a tick while there is some"
    monkeypatch.setattr(ticks, "hand_out", lambda: 0)
    assert hand_out() is None
    assert [beats.acquire(blocking=False) for _ in range(3)] == [True, True, False], "one at each run"
    program._schedule(settings, ticks, named, named, named, None, heartbeat)
    assert "read_fleet_metrics" not in made["schedule"]


def paused(harness: Harness, account_id: str, kind: str, since: str, until: str = "1 hour") -> None:
    harness.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_at, paused_until, reason)"
        f" VALUES ('instagram', :kind, :id, now() - interval '{since}', now() + interval '{until}', '')",
        kind=kind,
        id=account_id,
    )


def test_budget_that_is_paused_for_five_minutes_is_probed_by_one_row_every_five_minutes(
    harness: Harness, ticks: Ticks, client: RedisClient
) -> None:
    cases = {
        "acc_long": [("background", "6 minutes")],
        "acc_recent": [("background", "4 minutes")],
        "acc_other": [("account", "1 hour")],
        "acc_both": [("background", "1 hour"), ("account", "1 hour")],
        "acc_over": [],
    }
    rows = {name: harness.publications(harness.account(name), 2) for name in cases}
    for name, pauses in cases.items():
        for kind, since in pauses:
            paused(harness, name, kind, since)
    paused(harness, "acc_over", "background", "1 hour", "-1 minute")

    with capture_logs() as logged:
        ticks.probe_budgets()

    promoted = harness.execute("SELECT publication_id FROM refresh_state WHERE priority > 0")
    assert len(promoted) == 1
    assert promoted[0][0] in rows["acc_long"]
    assert [(one["event"], one["account_id"]) for one in logged] == [("budget_probed", "acc_long")]
    with harness.scheduler.begin() as connection:
        assert probe(connection, client) == 0, "it was probed just now"
        rest = client.pttl("dravo:probe:instagram:acc_long")
        assert 4 * 60_000 < rest <= 5 * 60_000
        client.delete("dravo:probe:instagram:acc_long")
        assert probe(connection, client) == 1


def test_feed_is_filled_at_once_while_rows_wait_and_after_an_outage(
    ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[bool | Exception] = [True, False, OperationalError("", {}, Exception("away"))]

    def answer(*_: object) -> bool:
        given = answers.pop(0)
        if isinstance(given, Exception):
            raise given
        return given

    monkeypatch.setattr(maintenance, "fill", answer)
    monkeypatch.setattr(maintenance, "purge", answer)
    soon = timedelta(milliseconds=200)
    assert [ticks.fill_changes() for _ in range(3)] == [soon, None, soon]
    answers[:] = [True, False, OperationalError("", {}, Exception("away"))]
    assert [ticks.purge_changes() for _ in range(3)] == [soon, None, None]


def test_purge_uses_the_days_of_the_setting(harness: Harness, client: RedisClient) -> None:
    settings = harness.context.settings.model_copy(update={"changes_keep_days": 10})
    ticks = Ticks(settings, harness.scheduler, client, refresh_queue.broker(client))
    harness.publications(harness.account("acc_1"), 2)
    harness.execute("DELETE FROM publications")
    for number, days in enumerate((10.5, 11.5)):
        harness.execute(
            "UPDATE changes SET changed_at = now() - CAST(:age AS interval) WHERE publication_id ="
            " (SELECT publication_id FROM changes ORDER BY publication_id OFFSET :number LIMIT 1)",
            age=timedelta(days=days),
            number=number,
        )

    ticks.purge_changes()

    assert len(harness.execute("SELECT FROM changes")) == 1


def test_sweep_goes_on_where_it_stopped_and_reports_what_it_repaired(
    ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    results = [Swept("acc_5", 0), Swept("", 3), Swept("acc_5", 0)]

    def sweep(_connection: object, after: str) -> Swept:
        begun.append(after)
        return results.pop(0)

    monkeypatch.setattr(module, "sweep", sweep)
    before = REGISTRY.get_sample_value("dravo_timers_repaired_total") or 0.0
    with capture_logs() as logged:
        for _ in range(3):
            ticks.sweep_timers()

    assert begun == ["", "acc_5", ""]
    assert (REGISTRY.get_sample_value("dravo_timers_repaired_total") or 0.0) - before == 3
    assert [(one["event"], one["accounts"]) for one in logged] == [("timers_repaired", 3)]


def test_listener_wakes_at_each_notification_and_connects_again(
    harness: Harness, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "_RECONNECT_SECONDS", 0.01)
    monkeypatch.setattr(listener, "_POLL_SECONDS", 600.0)  # a notification does not wait for another one
    stopping, woken, received = threading.Event(), threading.Semaphore(0), list[str]()

    def wake(payloads: Any) -> None:
        received.extend(payloads)
        woken.release()
        if payloads[0] in errors:
            raise errors[payloads[0]]

    errors = {"fails": LookupError, "fails again": ValueError}
    ended = [0]

    def listening() -> list[tuple[int]]:
        return harness.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle'"
            " AND application_name = 'dravo-scheduler-listener' AND query LIKE 'LISTEN%'"
            " AND pid <> ALL(:ended)",
            ended=ended,
        )

    thread = threading.Thread(target=listener.listen, args=(database_url, wake, stopping))
    with capture_logs() as logged:
        thread.start()
        for payload in ("first", "fails", "fails again", "second", "third"):
            wait_until(lambda: bool(listening()), 30, "a listener")
            ((pid,),) = listening()
            stopping.set() if payload == "third" else None
            harness.execute(f"NOTIFY {DUE_CHANNEL}, '{payload}'")
            assert woken.acquire(timeout=30)
            if payload in {*errors, "second"}:
                ended.append(pid)
            if payload == "second":
                harness.execute(f"SELECT pg_terminate_backend({pid})")
        thread.join(30)

    assert not thread.is_alive()
    assert received == ["first", "fails", "fails again", "second", "third"]
    assert [one["event"] for one in logged] == ["listener_failed"] * 2 + ["listener_disconnected"]


@pytest.mark.parametrize(
    "error", [OperationalError("", {}, Exception("away")), redis.ConnectionError("away")]
)
def test_no_duty_fails_when_a_store_is_away(error: Exception) -> None:
    def away(*_: object, **__: object) -> None:
        raise error

    nobody: Any = SimpleNamespace(begin=away, connect=away, register_script=lambda _: away)
    settings = Settings()
    ticks, freshness = Ticks(settings, nobody, nobody, nobody), FreshnessTicks(settings, nobody, nobody)
    retention = RetentionTick(nobody, Retention.parse("on"))
    duties: list[Callable[[], object]] = [
        *(ticks.renew_tokens, ticks.probe_budgets, ticks.check_budget, ticks.sweep_timers),
        *(ticks.make_partitions, ticks.fill_changes, ticks.purge_changes),
        *(freshness.adjust_pressure, freshness.refit, freshness.replanning.run),
        *(Erasures(nobody, nobody, None).run, retention.run),
    ]
    with capture_logs() as logged:
        for duty in duties:
            duty()

    store = "redis" if isinstance(error, redis.RedisError) else "database"
    assert [one["event"] for one in logged] == [f"{store}_unreachable"] * len(duties)


@pytest.mark.parametrize(("seconds", "rest"), [(0.25, 2.75), (9.0, 5.0)])
def test_erasure_rests_eleven_times_its_step_and_five_seconds_at_most(
    monkeypatch: pytest.MonkeyPatch, seconds: float, rest: float
) -> None:
    instants = [100.0, 100.0 + seconds]
    monkeypatch.setattr(erasures, "time", SimpleNamespace(monotonic=lambda: instants.pop(0)))
    monkeypatch.setattr(erasures, "step", lambda *_: Done("era_1", "rows", 5, {}, ()))
    nobody: Any = None

    assert Erasures(nobody, nobody, None).run() == timedelta(seconds=rest)


def test_log_file_that_cannot_be_read_ends_the_tick_with_a_log_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(*_: object) -> Done:
        raise LogFilesError("the log file cannot be read")

    monkeypatch.setattr(erasures, "step", unreadable)
    nobody: Any = None
    with capture_logs() as logged:
        assert Erasures(nobody, nobody, None).run() is None
    assert [one["event"] for one in logged] == ["erasure_logs_failed"]


def test_platforms_of_the_probe_are_those_of_the_pause(harness: Harness, client: RedisClient) -> None:
    (mine,) = harness.publications(harness.account("acc_x", Platform.X))
    harness.publications(harness.account("acc_i"))
    harness.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_at, paused_until, reason)"
        " VALUES ('x', 'background', '', now() - interval '1 hour', now() + interval '1 hour', '')"
    )
    with harness.scheduler.begin() as connection:
        assert probe(connection, client) == 1

    assert harness.execute("SELECT publication_id FROM refresh_state WHERE priority > 0") == [(mine,)]
