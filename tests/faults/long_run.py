"""The long run: every fault, over and over in an order that the seed decides, until the time is up."""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from random import Random

from tests.faults.faults.catalogue import FAULTS
from tests.faults.harness.environment import TICK
from tests.faults.harness.environments import Theatre
from tests.faults.matrix import Fault, Result

TIME_FOR_FULL_LENGTHS = timedelta(minutes=20)


def chosen(words: Sequence[str]) -> list[Fault]:
    """Return the faults whose names hold one of these words, or all of them."""
    return [fault for fault in FAULTS if not words or any(word in fault.name for word in words)]


def run(
    faults: Sequence[Fault], lasting: timedelta, seed: int, tell: Callable[[Result], None]
) -> list[Result]:
    """Play rounds until the time is up and return how they ended.

    Each fault lasts its full length once, in a run that has the time for that.
    """
    results: list[Result] = []

    def note(result: Result) -> None:
        results.append(result)
        tell(result)

    deadline = time.monotonic() + lasting.total_seconds()
    rounds = _rounds(faults, seed, full_length=lasting >= TIME_FOR_FULL_LENGTHS)
    with Theatre(seed, TICK) as theatre:
        for number, (fault, full_length) in enumerate(rounds, start=1):
            if time.monotonic() > deadline:
                break
            note(theatre.play(fault, seed * 10_000 + number, long=full_length))
        note(_ending(theatre, seed))
    return results


def _rounds(faults: Sequence[Fault], seed: int, *, full_length: bool) -> Iterator[tuple[Fault, bool]]:
    random = Random(seed)  # noqa: S311 - a seed makes the run repeatable
    while True:
        order = list(faults)
        random.shuffle(order)
        yield from ((fault, full_length) for fault in order)
        full_length = False


def _ending(theatre: Theatre, seed: int) -> Result:
    """End everything and judge how it ended."""
    began = time.monotonic()
    wrong = tuple(f"I6: {sentence}" for sentence in theatre.end_services())
    took = timedelta(seconds=time.monotonic() - began)
    return Result("everything stopped by SIGTERM", seed, timedelta(), 0, took, wrong, 0, 0)
