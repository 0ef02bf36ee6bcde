"""The search over one combination of operations: its schedules, judged, and the shortest that fails."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import psycopg

from tests.interleavings.engine.explorer import Run, Runnable, SessionController, explore
from tests.interleavings.engine.schedule import Schedule, follow
from tests.interleavings.model.environment import Environment, environment
from tests.interleavings.model.invariants import breaches
from tests.interleavings.model.operations import OPERATIONS
from tests.interleavings.model.world import Reset
from tests.servers import connect

_INSTANT = re.compile(r"\d{4}-\d\d-\d\d \S+")


@dataclass(frozen=True, slots=True)
class Combination:
    """Operations that run together, and the world that they start from."""

    world: str
    operations: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name in reports and in ``ONLY=``."""
        return f"{self.world}: {' + '.join(self.operations)}"

    @classmethod
    def parse(cls, name: str) -> "Combination":
        """Return the combination of a name."""
        world, _, operations = name.partition(": ")
        return cls(world, tuple(operations.split(" + ")))


@dataclass(slots=True)
class SearchResult:
    """The result of a search."""

    combination: Combination
    runs: int = 0
    whole: bool = True
    """Whether every schedule was run; otherwise the limit ended the search."""
    failing: int = 0
    schedules: dict[str, Schedule] = field(default_factory=dict)
    """For every breach, the schedule with the fewest switches that causes it."""


class Searcher:
    """Searches combinations on one database."""

    def __init__(
        self, environment: Environment, controller: SessionController, connection: psycopg.Connection
    ) -> None:
        self._environment = environment
        self._controller = controller
        self._connection = connection
        self._reset = Reset(connection, environment.harness.context.vault)

    def search(self, combination: Combination, *, most: int) -> SearchResult:
        """Run the schedules of a combination, up to ``most``, and judge each."""
        result = SearchResult(combination)
        shortest: dict[str, Run] = {}
        for run in explore(self._controller, partial(self._begin, combination), most=most):
            result.runs += 1
            broken = {_INSTANT.sub("…", one) for one in breaches(self._connection, self._environment, run)}
            result.failing += bool(broken)
            for breach in broken:
                if breach not in shortest or run.switches < shortest[breach].switches:
                    shortest[breach] = run
        result.whole = result.runs < most
        for breach, run in shortest.items():
            result.schedules[breach] = Schedule.of(combination.world, combination.operations, run)
        return result

    def replay(self, schedule: Schedule) -> list[str]:
        """Run one schedule and return the breaches."""
        operations = self._begin(Combination(schedule.world, schedule.operations))
        run = follow(self._controller, operations, schedule)
        return breaches(self._connection, self._environment, run)

    def _begin(self, combination: Combination) -> Sequence[Runnable]:
        chosen = [OPERATIONS[name] for name in combination.operations]
        self._environment.received.clear()
        self._reset(combination.world, " ".join(one.prepare for one in chosen))
        return [partial(one.run, self._environment) for one in chosen]


@contextmanager
def searcher(url: str, sessions: int = 2) -> Iterator[Searcher]:
    """Open a searcher on a migrated database of its own."""
    with environment(url) as opened, connect(url) as connection:
        controller = SessionController(url, sessions)
        try:
            yield Searcher(opened, controller, connection)
        finally:
            controller.close()
