"""The long run: every fault, over and over in an order that the seed decides, until the time is up."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import timedelta
from random import Random

from tests.faults.catalogue import FAULTS
from tests.faults.matrix import Fault, Result, play
from tests.faults.stage import Stage, stage
from tests.servers import fast_parent, server_directory

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
    deadline = time.monotonic() + lasting.total_seconds()
    rounds = _rounds(faults, seed, full_length=lasting >= TIME_FOR_FULL_LENGTHS)
    with ExitStack() as stack:
        current: Stage | None = None
        for number, (fault, full_length) in enumerate(rounds, start=1):
            if time.monotonic() > deadline:
                break
            if current is None:
                directory = stack.enter_context(server_directory(fast_parent()))
                current = stack.enter_context(stage(directory, seed=seed))
            result = play(current, fault, seed * 10_000 + number, long=full_length)
            results.append(result)
            tell(result)
            if result.breaches:
                stack.close()
                current = None
        if current is not None:
            results.append(_ending(current, seed))
            tell(results[-1])
    return results


def _rounds(faults: Sequence[Fault], seed: int, *, full_length: bool) -> Iterator[tuple[Fault, bool]]:
    random = Random(seed)  # noqa: S311 - a seed makes the run repeatable
    while True:
        order = list(faults)
        random.shuffle(order)
        yield from ((fault, full_length) for fault in order)
        full_length = False


def _ending(current: Stage, seed: int) -> Result:
    """End everything and judge how it ended."""
    began = time.monotonic()
    wrong = tuple(f"I6: {sentence}" for sentence in current.fleet.end())
    took = timedelta(seconds=time.monotonic() - began)
    return Result("everything stopped by SIGTERM", seed, timedelta(), 0, took, wrong, 0, 0)
