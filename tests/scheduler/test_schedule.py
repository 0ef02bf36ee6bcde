"""Ticks run at their intervals, at once when work is announced, and sooner again when they ask for it."""

import threading
from datetime import timedelta

from scheduler.schedule import Schedule

NEVER = timedelta(days=1)
SOON = timedelta(milliseconds=1)


def test_tick_that_asks_for_it_runs_again_before_its_interval_ends() -> None:
    third = threading.Event()
    runs: list[timedelta | None] = []

    def tick() -> timedelta | None:
        again_after = SOON if len(runs) < 2 else None
        runs.append(again_after)
        if again_after is None:
            third.set()
        return again_after

    schedule = Schedule({"hand_out": (tick, NEVER)})
    schedule.start()
    assert third.wait(20)
    schedule.stop()

    assert runs == [SOON, SOON, None]


def test_notified_tick_runs_at_once() -> None:
    first, second = threading.Event(), threading.Event()

    def tick() -> None:
        (second if first.is_set() else first).set()

    schedule = Schedule({"hand_out": (tick, NEVER)})
    schedule.start()
    assert first.wait(20)
    schedule.run_soon("hand_out")
    assert second.wait(20)
    schedule.stop()


def test_later_request_does_not_postpone_a_run() -> None:
    again = threading.Event()
    started = threading.Event()

    def tick() -> None:
        (again if started.is_set() else started).set()

    schedule = Schedule({"hand_out": (tick, timedelta(seconds=1))})
    schedule.start()
    assert started.wait(20)
    schedule.run_soon("hand_out", NEVER)
    assert again.wait(20)
    schedule.stop()
