"""The long run: every fault, again and again, in an order that the seed determines."""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from random import Random

from tests.faults.faults.catalogue import FAULTS
from tests.faults.harness.environment import TICK
from tests.faults.harness.environments import Environments
from tests.faults.matrix import Fault, Result

LEAST_TIME_FOR_FULL_LENGTHS = timedelta(minutes=20)


def chosen(words: Sequence[str]) -> list[Fault]:
    """Return the faults whose names contain one of these words, or all faults."""
    return [fault for fault in FAULTS if not words or any(word in fault.name for word in words)]


def run(
    faults: Sequence[Fault], lasting: timedelta, seed: int, report: Callable[[Result], None]
) -> list[Result]:
    """Run rounds until the time is up and return their results.

    In a run that is long enough, each fault has its full length once.
    """
    results: list[Result] = []

    def record(result: Result) -> None:
        results.append(result)
        report(result)

    deadline = time.monotonic() + lasting.total_seconds()
    rounds = _rounds(faults, seed, full_length=lasting >= LEAST_TIME_FOR_FULL_LENGTHS)
    with Environments(seed, TICK) as environments:
        for number, (fault, full_length) in enumerate(rounds, start=1):
            if time.monotonic() > deadline:
                break
            record(environments.run_round(fault, seed * 10_000 + number, full_length=full_length))
        record(_stop_everything(environments, seed))
    return results


def _rounds(faults: Sequence[Fault], seed: int, *, full_length: bool) -> Iterator[tuple[Fault, bool]]:
    random = Random(seed)
    while True:
        order = list(faults)
        random.shuffle(order)
        yield from ((fault, full_length) for fault in order)
        full_length = False


def _stop_everything(environments: Environments, seed: int) -> Result:
    """Stop all services and judge how they stopped."""
    began = time.monotonic()
    problems = tuple(f"I6: {sentence}" for sentence in environments.end_services())
    took = timedelta(seconds=time.monotonic() - began)
    return Result("everything stopped by SIGTERM", seed, timedelta(), 0, took, problems, 0, 0)
