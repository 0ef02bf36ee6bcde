"""How often a tick claims and with which limits, without a database: every branch of the loop."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from scheduler import ticks as module
from scheduler.ticks import Ticks
from shared import refresh_queue
from shared.refresh_queue import RefreshJob
from shared.refresh_state.claim import Claims
from shared.settings import Settings
from shared.vocabulary import Lane, Platform

JOB = RefreshJob("acc_1", ((1, 1),))
NOTHING = Claims((), 0, 0)
ONE_ROW = Claims((JOB,), 1, 0)


@dataclass
class Fleet:
    """Queues, claims and timers that follow a script and record what is asked of them."""

    workers: Sequence[int] = (2,)
    claims: list[Claims] = field(default_factory=list)
    interactive: list[Claims] = field(default_factory=list)
    forever: Claims = NOTHING
    timers: int = 0
    """How many more batches of timers have passed."""
    queued: dict[Lane, int] = field(default_factory=lambda: dict.fromkeys(Lane, 0))
    claimed: list[tuple[Lane, dict[str, Any]]] = field(default_factory=list)
    swept: list[Lane] = field(default_factory=list)

    def claim(self, _connection: object, lane: Lane, **limits: Any) -> Claims:
        """Return the next claims of the lane."""
        del limits["memory"]
        self.claimed.append((lane, limits))
        if lane is Lane.INTERACTIVE:
            return self.interactive.pop(0) if self.interactive else NOTHING
        return self.claims.pop(0) if self.claims else self.forever

    def add_due(self, _connection: object, lane: Lane) -> bool:
        """Return whether timers were left."""
        self.swept.append(lane)
        self.timers -= 1
        return self.timers >= 0

    def enqueue(self, _broker: object, lane: Lane, jobs: Sequence[RefreshJob], _context: object) -> None:
        """Count the jobs that wait."""
        self.queued[lane] += len(jobs)


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> Fleet:
    made = Fleet()
    monkeypatch.setattr(module, "claim", made.claim)
    monkeypatch.setattr(module, "queue", SimpleNamespace(add_due=made.add_due))
    next_timer = SimpleNamespace(next_timer=lambda *_: timedelta(seconds=3))
    monkeypatch.setattr(module, "reading", next_timer)
    monkeypatch.setattr(refresh_queue, "enqueue", made.enqueue)
    monkeypatch.setattr(refresh_queue, "depth", lambda _, lane: made.queued[lane])
    monkeypatch.setattr(refresh_queue, "workers_alive", lambda _: dict(enumerate(made.workers)))
    return made


@pytest.fixture
def ticks() -> Ticks:
    nobody: Any = SimpleNamespace(begin=nullcontext)
    settings = Settings(lease_seconds=70, interactive_share=0.25, freshness="fixed:10h")
    return Ticks(settings, nobody, nobody, nobody)


@pytest.mark.parametrize(
    ("workers", "jobs", "platform_jobs", "shared"),
    [((1,), 2, 3, 1), ((2,), 4, 6, 2), ((8,), 16, 24, 8), ((8, 8, 2), 36, 54, 18)],
)
def test_claims_are_bounded_by_the_threads_of_the_workers(
    fleet: Fleet, ticks: Ticks, workers: Sequence[int], jobs: int, platform_jobs: int, shared: int
) -> None:
    fleet.workers = workers

    assert ticks.hand_out() == 0

    limits = {
        "jobs": jobs,
        "platform_jobs": platform_jobs,
        "lease": timedelta(seconds=70),
        "top_up": dict.fromkeys(Platform, timedelta(hours=1)),
    }
    assert fleet.claimed == [
        (Lane.INTERACTIVE, limits | {"shared_jobs": 2 * shared}),
        (Lane.BACKGROUND, limits | {"shared_jobs": shared}),
    ]


@pytest.mark.parametrize(("queued", "claims"), [(2, 2), (3, 1), (4, 0), (9, 0)])
def test_queue_is_filled_up_to_two_jobs_for_each_thread(
    fleet: Fleet, ticks: Ticks, queued: int, claims: int
) -> None:
    fleet.forever = ONE_ROW
    fleet.queued[Lane.BACKGROUND] = queued

    assert ticks.hand_out() == claims

    capacities = [limits["jobs"] for lane, limits in fleet.claimed if lane is Lane.BACKGROUND]
    assert capacities == list(range(claims, 0, -1))


def test_tick_ends_when_nothing_is_due(fleet: Fleet, ticks: Ticks) -> None:
    fleet.workers = (50,)
    fleet.claims = [ONE_ROW, Claims((JOB, JOB), 5, 2), NOTHING, ONE_ROW]

    assert ticks.hand_out() == 6
    assert fleet.swept == []


def test_tick_claims_twenty_times_at_most(fleet: Fleet, ticks: Ticks) -> None:
    fleet.workers, fleet.forever = (50,), ONE_ROW

    assert ticks.hand_out() == 20


def test_timers_that_have_passed_are_added_and_claimed_in_the_same_tick(fleet: Fleet, ticks: Ticks) -> None:
    fleet.workers, fleet.timers = (50,), 3
    fleet.interactive = [Claims((), 0, 0, more_due=True), ONE_ROW]
    fleet.claims = [Claims((), 0, 0, more_due=True), Claims((JOB,), 1, 0, more_due=True), ONE_ROW]

    assert ticks.hand_out() == 3

    swept = [Lane.INTERACTIVE] * 4 + [Lane.BACKGROUND] * 2
    assert fleet.swept == swept, "until none is left, once for each claim that asks for it"


def test_timers_are_added_forty_batches_at_a_time(fleet: Fleet, ticks: Ticks) -> None:
    fleet.timers = 100
    fleet.claims = [Claims((), 0, 0, more_due=True)]

    ticks.hand_out()

    assert len(fleet.swept) == 40


def test_interactive_work_is_asked_for_again_after_a_notification(fleet: Fleet, ticks: Ticks) -> None:
    def lanes() -> list[Lane]:
        fleet.claimed.clear()
        ticks.hand_out()
        return [lane for lane, _ in fleet.claimed]

    assert lanes() == [Lane.INTERACTIVE, Lane.BACKGROUND]
    assert lanes() == [Lane.BACKGROUND], "nothing was due, and the next timer is seconds away"
    ticks.notified()
    assert lanes() == [Lane.INTERACTIVE, Lane.BACKGROUND]


def test_interactive_work_is_asked_for_again_when_the_queue_was_full(fleet: Fleet, ticks: Ticks) -> None:
    fleet.interactive = [Claims((JOB,) * 4, 4, 0)]
    assert ticks.hand_out() == 4
    fleet.queued[Lane.INTERACTIVE] = 0
    fleet.claimed.clear()

    ticks.hand_out()

    assert [lane for lane, _ in fleet.claimed] == [Lane.INTERACTIVE, Lane.BACKGROUND]
