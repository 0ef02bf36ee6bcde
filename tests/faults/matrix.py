"""Rounds: calm → fault → heal → quiesce → judge."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

from tests.faults.harness.environment import FRESHNESS, Stage
from tests.faults.judge.invariants import NOISE, Allowed, bound, judge
from tests.faults.judge.observations import begin, collect, lateness


@dataclass(frozen=True)
class Scene:
    """What a fault gets to act with."""

    stage: Stage
    random: Random
    long: bool
    """Whether there is time for the full lengths that the matrix promises."""

    def seconds(self, short: float, full: float) -> float:
        """Return how long something is to last."""
        return full if self.long else short


@dataclass(frozen=True)
class Fault:
    """One line of the matrix. ``act`` breaks something and returns once it is healed, or nothing can be."""

    name: str
    act: Callable[[Scene], None]
    allowed: Allowed = field(default_factory=Allowed)
    short: bool = True
    """Whether it fits into the test command's time."""
    replaces_api: bool = False
    """Whether the only API process is away for a while, and nothing answers."""
    sentinel: bool = False
    """Whether Redis is a primary with a replica and a Sentinel, for this round only."""
    after: Callable[[Stage], list[str]] = lambda _stage: []
    """What else must hold afterwards."""


@dataclass(frozen=True)
class Result:
    """How a round ended."""

    fault: str
    seed: int
    recovery: timedelta
    """The latest reading after the healing, counted from when it was due."""
    kills: int
    lasted: timedelta
    breaches: tuple[str, ...]
    served: int
    """Reads through the API that were answered, a 503 with Retry-After included."""
    unanswered: int
    api_replaced: bool = False


def play(stage: Stage, fault: Fault, seed: int, *, long: bool = False) -> Result:
    """Play one round and judge it."""
    began = time.monotonic()
    beginning = begin(stage)
    breaches = []
    try:
        fault.act(Scene(stage, Random(seed), long))  # noqa: S311 - a seed makes the run repeatable
    except Exception as error:  # noqa: BLE001 - one round must not cost the report of all the others
        breaches.append(f"the fault did not come about: {error!r}")
    healed_at = stage.now()
    stage.fleet.mend()
    patience = bound(stage.tick) + FRESHNESS + 2 * NOISE + fault.allowed.late
    try:
        stage.await_reads(healed_at, patience.total_seconds(), but_paused=fault.allowed.pauses)
    except AssertionError as error:
        breaches.append(f"I1: {error}")
    evidence = collect(stage, beginning, healed_at)
    breaches += judge(stage, evidence, fault.allowed) + fault.after(stage)
    return Result(
        fault.name,
        seed,
        max(lateness(evidence).values(), default=timedelta()),
        evidence.kills,
        timedelta(seconds=time.monotonic() - began),
        tuple(breaches),
        sum(one.polite for one in evidence.answered),
        sum(not one.polite for one in evidence.answered),
        fault.replaces_api,
    )
