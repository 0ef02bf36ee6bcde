"""A round: record a baseline, inject a fault, remove it, wait for recovery, judge."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

from tests.faults.harness.environment import FRESHNESS, Environment
from tests.faults.judge.invariants import Tolerance, bound, judge
from tests.faults.judge.observations import collect, lateness, take_baseline


@dataclass(frozen=True)
class RoundContext:
    """What a fault is given: the environment, a random generator, and how long it may last."""

    environment: Environment
    random: Random
    full_length: bool
    """Whether faults last as long as in a real incident."""

    def seconds(self, short: float, full: float) -> float:
        """Return the length of a fault."""
        return full if self.full_length else short


@dataclass(frozen=True)
class Fault:
    """One line of the matrix. ``inject`` breaks something and returns when it works again, or cannot."""

    name: str
    inject: Callable[[RoundContext], None]
    tolerance: Tolerance = field(default_factory=Tolerance)
    short: bool = True
    """Whether ``make test`` includes it."""
    replaces_api: bool = False
    """Whether the only API process is absent for a while."""
    sentinel: bool = False
    """Whether the round needs Redis with a replica and a Sentinel."""
    after: Callable[[Environment], list[str]] = lambda _environment: []
    """Restores the environment for the next round, and returns further breaches."""


@dataclass(frozen=True)
class Result:
    """The result of a round."""

    fault: str
    seed: int
    recovery: timedelta
    """The lateness of the last publication after the end of the fault, see `lateness`."""
    kills: int
    lasted: timedelta
    breaches: tuple[str, ...]
    served: int
    """Requests to the API that were answered, including 503 with Retry-After."""
    unanswered: int
    api_replaced: bool = False


def run_round(environment: Environment, fault: Fault, seed: int, *, full_length: bool = False) -> Result:
    """Run one round and judge it."""
    began = time.monotonic()
    baseline = take_baseline(environment)
    breaches = []
    try:
        fault.inject(RoundContext(environment, Random(seed), full_length))
    except Exception as error:  # noqa: BLE001 - one failing round must not end a run of many
        breaches.append(f"the fault could not be injected: {error!r}")
    healed_at = environment.now()
    environment.fleet.restart_dead()
    timeout = bound(environment.tick) + FRESHNESS + environment.noise + fault.tolerance.late
    try:
        environment.await_reads(healed_at, timeout.total_seconds(), but_paused=fault.tolerance.pauses)
    except AssertionError as error:
        breaches.append(f"I1: {error}")
    observations = collect(environment, baseline, healed_at)
    breaches += judge(environment, observations, fault.tolerance) + fault.after(environment)
    return Result(
        fault.name,
        seed,
        max(lateness(observations).values(), default=timedelta()),
        observations.kills,
        timedelta(seconds=time.monotonic() - began),
        tuple(breaches),
        sum(one.acceptable for one in observations.requests),
        sum(not one.acceptable for one in observations.requests),
        fault.replaces_api,
    )
