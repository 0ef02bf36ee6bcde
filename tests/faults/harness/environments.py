"""Reuses an environment from round to round, and starts a new one after a round that failed."""

from contextlib import ExitStack
from datetime import timedelta
from types import TracebackType
from typing import Self

from tests.faults.harness.environment import NOISE, Environment, open_environment
from tests.faults.matrix import Fault, Result, run_round
from tests.servers import fast_parent, server_directory


class Environments:
    """Runs rounds one after another, in one environment as long as no invariant is broken."""

    def __init__(self, seed: int, tick: timedelta, noise: timedelta = NOISE, *, forked: bool = False) -> None:
        self._seed = seed
        self._tick = tick
        self._noise = noise
        self._forked = forked
        self._stack = ExitStack()
        self._environment: Environment | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def run_round(self, fault: Fault, seed: int, *, full_length: bool = False) -> Result:
        """Run one round. A fault that needs a Sentinel has an environment of its own."""
        environment = None if fault.sentinel else self._environment
        if environment is None:
            self._stack.close()
            directory = self._stack.enter_context(server_directory(fast_parent()))
            environment = self._stack.enter_context(
                open_environment(
                    directory,
                    seed=self._seed,
                    tick=self._tick,
                    noise=self._noise,
                    sentinel=fault.sentinel,
                    forked=self._forked,
                )
            )
        self._environment = None
        result = run_round(environment, fault, seed, full_length=full_length)
        if not result.breaches and not fault.sentinel:
            self._environment = environment
        return result

    def end_services(self) -> list[str]:
        """Stop every service with SIGTERM and return what was wrong with how they stopped."""
        environment, self._environment = self._environment, None
        return environment.fleet.stop() if environment else []
