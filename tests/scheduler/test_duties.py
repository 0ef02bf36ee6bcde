"""The scheduler's duties beside handing out rows: each has its interval, its slice and its next run."""

import threading
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, Final

import pytest
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from scheduler import __main__ as program
from scheduler import listener
from scheduler import ticks as module
from scheduler.maintenance import erasures
from scheduler.maintenance.erasures import Erasures
from scheduler.probes import probe
from scheduler.ticks import Ticks
from shared import refresh_queue
from shared.changes import maintenance
from shared.erasure.run import Done
from shared.observability.exporter import Heartbeat
from shared.redis_client import RedisClient
from shared.refresh_state.notifications import DUE_CHANNEL
from shared.refresh_state.ready.sweep import Swept
from shared.vocabulary import Platform
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
    heartbeat = Heartbeat(SECOND)
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
    assert hand_out() == SECOND / 2, "work is handed out four times in a tick while there is some"
    monkeypatch.setattr(ticks, "hand_out", lambda: 0)
    assert hand_out() is None
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
    with capture_logs() as logged:
        for _ in range(3):
            ticks.sweep_timers()

    assert begun == ["", "acc_5", ""]
    assert [(one["event"], one["accounts"]) for one in logged] == [("timers_repaired", 3)]


def test_listener_wakes_with_each_notification_and_connects_again(
    harness: Harness, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "_RECONNECT_SECONDS", 0.01)
    monkeypatch.setattr(listener, "_POLL_SECONDS", 0.05)
    stopping, woken, received = threading.Event(), threading.Event(), list[str]()

    def wake(payloads: Any) -> None:
        received.extend(payloads)
        woken.set()
        if payloads[0] == "fails":
            raise LookupError

    listening = (
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle'"
        " AND application_name = 'dravo-scheduler-listener'"
    )
    thread = threading.Thread(target=listener.listen, args=(database_url, wake, stopping))
    with capture_logs() as logged:
        thread.start()
        for payload, end in (("first", False), ("fails", False), ("second", True), ("third", False)):
            woken.clear()
            while not woken.wait(0.05):
                if harness.execute(f"{listening} AND query LIKE 'LISTEN%'"):
                    harness.execute(f"NOTIFY {DUE_CHANNEL}, '{payload}'")
            if end:
                harness.execute(f"SELECT pg_terminate_backend(pid) FROM ({listening}) t")
        stopping.set()
        thread.join(30)

    assert not thread.is_alive()
    assert list(dict.fromkeys(received)) == ["first", "fails", "second", "third"]
    events = {one["event"] for one in logged}
    assert events == {"listener_failed", "listener_disconnected"}


@pytest.mark.parametrize(("seconds", "rest"), [(0.25, 2.75), (9.0, 5.0)])
def test_erasure_rests_eleven_times_its_step_and_five_seconds_at_most(
    monkeypatch: pytest.MonkeyPatch, seconds: float, rest: float
) -> None:
    instants = [100.0, 100.0 + seconds]
    monkeypatch.setattr(erasures, "time", SimpleNamespace(monotonic=lambda: instants.pop(0)))
    monkeypatch.setattr(erasures, "step", lambda *_: Done("era_1", "rows", 5, {}, ()))
    nobody: Any = None

    assert Erasures(nobody, nobody, None).run() == timedelta(seconds=rest)


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
