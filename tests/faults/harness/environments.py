"""Keeps a stage from round to round, and sets a new one when a round has spoilt it."""

from contextlib import ExitStack
from datetime import timedelta
from types import TracebackType
from typing import Self

from tests.faults.harness.environment import Stage, stage
from tests.faults.matrix import Fault, Result, play
from tests.servers import fast_parent, server_directory


class Theatre:
    """Plays rounds one after another, on one stage for as long as nothing went wrong on it."""

    def __init__(self, seed: int, tick: timedelta) -> None:
        self._seed = seed
        self._tick = tick
        self._stack = ExitStack()
        self._stage: Stage | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def play(self, fault: Fault, seed: int, *, long: bool = False) -> Result:
        """Play one round. A fault that needs a Sentinel has a stage of its own, which it leaves spent."""
        on = None if fault.sentinel else self._stage
        if on is None:
            self._stack.close()
            directory = self._stack.enter_context(server_directory(fast_parent()))
            on = self._stack.enter_context(
                stage(directory, seed=self._seed, tick=self._tick, sentinel=fault.sentinel)
            )
        self._stage = None
        result = play(on, fault, seed, long=long)
        if not result.breaches and not fault.sentinel:
            self._stage = on
        return result

    def end_services(self) -> list[str]:
        """End every service of the stage by SIGTERM and return what was wrong with how they ended."""
        on, self._stage = self._stage, None
        return on.fleet.end() if on else []
