"""Ticks run at their intervals, at once when work is announced, and sooner again when they ask for it."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import REGISTRY

from scheduler.schedule import THREADS, Schedule
from tests.faults.harness.waiting import wait_until

NEVER = timedelta(days=1)
SOON = timedelta(milliseconds=1)


def test_tick_that_asks_for_it_runs_again_before_its_interval_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    third = threading.Event()
    runs: list[timedelta | None] = []

    def tick() -> timedelta | None:
        again_after = (SOON, timedelta(), None)[len(runs)]
        runs.append(again_after)
        if again_after is None:
            third.set()
        return again_after

    began = time.time()
    schedule = Schedule({"asks_again": (tick, NEVER)})
    schedule.start()
    assert third.wait(30)
    schedule.stop()

    assert runs == [SOON, timedelta(), None]
    ended_at = REGISTRY.get_sample_value("dravo_tick_ended_timestamp_seconds", {"tick": "asks_again"})
    assert began <= (ended_at or 0.0) <= time.time()
    assert caplog.messages == [], "no tick has failed"


def test_notified_tick_runs_at_once() -> None:
    first, second = threading.Event(), threading.Event()

    def tick() -> None:
        (second if first.is_set() else first).set()

    schedule = Schedule({"hand_out": (tick, NEVER)})
    schedule.start()
    assert first.wait(30)
    schedule.run_soon("hand_out")
    assert second.wait(30)
    schedule.stop()


def test_clock_that_is_set_back_delays_no_tick() -> None:
    runs, ahead = threading.Semaphore(0), 7200.0
    schedule = Schedule({"sweep": (runs.release, NEVER)}, wall=lambda: time.monotonic() + ahead)
    schedule.start()
    assert runs.acquire(timeout=30)
    schedule.follow_clock()
    assert not runs.acquire(blocking=False)

    for corrected in (-0.5, +3600):
        ahead += corrected
        schedule.follow_clock()
        assert not runs.acquire(blocking=False), "a correction of the rate and a jump forward delay nothing"
    ahead -= 2
    schedule.follow_clock()

    assert runs.acquire(timeout=30)
    schedule.follow_clock()
    schedule.stop()
    assert not runs.acquire(blocking=False), "once for each time that it is set back"


def test_later_request_does_not_postpone_a_run() -> None:
    again = threading.Event()
    started = threading.Event()

    def tick() -> None:
        (again if started.is_set() else started).set()

    schedule = Schedule({"hand_out": (tick, timedelta(milliseconds=100))})
    schedule.start()
    assert started.wait(30)
    schedule.run_soon("hand_out", NEVER)
    assert again.wait(30)
    schedule.stop()


def test_tick_keeps_its_interval_until_it_is_brought_forward() -> None:
    ran = threading.Event()
    ticks = {"renew": (ran.set, NEVER), "asks": (lambda: NEVER / 4, NEVER)}
    schedule = Schedule(ticks)
    schedule.start()
    began = datetime.now(UTC)
    assert ran.wait(30)
    jobs = [schedule._scheduler.get_job(name) for name in ticks]
    by_interval = jobs[0].next_run_time
    schedule.run_soon("renew", NEVER / 2)
    wait_until(lambda: jobs[1].next_run_time < began + NEVER / 2, 30, "a tick that asks to run sooner")
    brought_forward = [job.next_run_time for job in jobs]
    schedule.stop()

    minute = timedelta(minutes=1)
    assert abs(by_interval - began - NEVER) < minute
    assert abs(brought_forward[0] - began - NEVER / 2) < minute
    assert abs(brought_forward[1] - began - NEVER / 4) < minute
    assert [job.misfire_grace_time for job in jobs] == [None, None], "an overdue run is not skipped"


def test_as_many_ticks_run_side_by_side_as_there_are_threads() -> None:
    together = threading.Barrier(THREADS + 1)

    def tick() -> None:
        together.wait(30)

    schedule = Schedule(dict.fromkeys(map(str, range(THREADS)), (tick, NEVER)))
    schedule.start()
    together.wait(30)
    threads = schedule._scheduler._lookup_executor("default")._pool._max_workers
    schedule.stop()

    assert threads == THREADS
    assert not together.broken


def test_urgent_tick_runs_although_every_other_tick_takes_long() -> None:
    slow, release, handed_out = threading.Barrier(THREADS + 1), threading.Event(), threading.Event()

    def slow_tick() -> None:
        slow.wait(30)
        release.wait(60)

    ticks = dict.fromkeys(map(str, range(THREADS)), (slow_tick, NEVER))
    schedule = Schedule({**ticks, "hand_out": (handed_out.set, NEVER)}, urgent={"hand_out"})
    schedule.start()
    slow.wait(30)
    handed_out.clear()
    schedule.run_soon("hand_out")
    ran = handed_out.wait(30)
    release.set()
    schedule.stop()

    assert ran


def test_tick_that_is_requested_while_it_runs_starts_at_once_beside_itself() -> None:
    started, both = threading.Event(), threading.Barrier(3)

    def tick() -> None:
        started.set()
        both.wait(30)

    schedule = Schedule({"hand_out": (tick, NEVER)})
    schedule.start()
    assert started.wait(30)
    schedule.run_soon("hand_out")
    both.wait(30)
    schedule.stop()

    assert not both.broken


def test_stop_waits_for_the_tick_that_runs() -> None:
    started, release, ended = threading.Event(), threading.Event(), threading.Event()

    def tick() -> None:
        started.set()
        release.wait(30)
        ended.set()

    schedule = Schedule({"hand_out": (tick, NEVER)})
    schedule.start()
    assert started.wait(30)
    threading.Timer(0.05, release.set).start()
    schedule.stop()

    assert ended.is_set()


def test_stop_does_not_wait_for_ticks_that_have_not_started() -> None:
    running, release, ran = threading.Barrier(THREADS + 1), threading.Event(), threading.Event()

    def slow_tick() -> None:
        running.wait(30)
        release.wait(60)

    ticks = dict.fromkeys(map(str, range(THREADS)), (slow_tick, NEVER))
    schedule = Schedule({**ticks, "waiting": (ran.set, NEVER)})
    schedule.start()
    running.wait(30)
    stopping = threading.Thread(target=schedule.stop)
    stopping.start()
    wait_until(lambda: not schedule._scheduler.running, 30, "a schedule that stops")
    release.set()
    stopping.join()

    assert not ran.is_set()


def test_tick_that_asks_for_another_run_does_not_block_the_stop() -> None:
    started, release = threading.Event(), threading.Event()

    def tick() -> timedelta:
        started.set()
        release.wait(60)
        return SOON

    schedule = Schedule({"hand_out": (tick, NEVER)})
    schedule.start()
    assert started.wait(30)
    stopping = threading.Thread(target=schedule.stop, daemon=True)
    stopping.start()
    wait_until(lambda: not schedule._scheduler.running, 30, "a schedule that stops")
    release.set()
    stopping.join(30)

    assert not stopping.is_alive()


def test_request_after_the_stop_is_ignored() -> None:
    schedule = Schedule({"hand_out": (lambda: None, NEVER)})
    schedule.start()
    job = schedule._scheduler.get_job("hand_out")
    schedule.stop()

    schedule.run_soon("hand_out")
    schedule._scheduler.get_job = lambda _: job  # it has stopped after it was asked for the job
    job.next_run_time = datetime.now(UTC) + NEVER
    schedule.run_soon("hand_out")


def test_request_for_an_unknown_tick_is_ignored() -> None:
    Schedule({}).run_soon("hand_out")
