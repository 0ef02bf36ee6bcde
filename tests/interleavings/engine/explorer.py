"""Search over interleavings, each executed for real from the start, those with the fewest switches first."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from itertools import pairwise
from typing import Any

import psycopg
from sqlalchemy import Engine

from tests.interleavings.engine.footprint import Step
from tests.interleavings.engine.session import Session
from tests.servers import connect

Runnable = Callable[[Engine], Any]

_SOON = 0.002
_STUCK_AFTER = 5_000  # polls
_BLOCKERS = "SELECT pg_blocking_pids(%s)"


@dataclass(slots=True)
class Run:
    """One interleaving that was executed to its end."""

    choices: tuple[int, ...]
    """The session that executed a step, for each point."""
    labels: tuple[str, ...]
    """The steps that were executed."""
    results: tuple[Any, ...]
    errors: tuple[BaseException | None, ...]
    deadlocks: int

    @property
    def switches(self) -> int:
        """How often the next step is another session's."""
        return _switches(self.choices)


@dataclass(frozen=True, slots=True)
class _Prefix:
    """The first choices of an interleaving that is still to be run, and the sleep set before the last one."""

    choices: tuple[int, ...] = ()
    sleep: Mapping[int, Step] = field(default_factory=dict)


class SessionController:
    """The sessions, and a connection that finds which session waits for which."""

    def __init__(self, url: str, sessions: int) -> None:
        self.sessions = [Session(url, number) for number in range(1, sessions + 1)]
        self.watch: psycopg.Connection = connect(url)

    def close(self) -> None:
        """Close every connection."""
        for session in self.sessions:
            session.close()
        self.watch.close()

    def begin(self, operations: Sequence[Runnable]) -> list[Session]:
        """Start the operations, each stopped before its first step."""
        used = self.sessions[: len(operations)]
        for session, operation in zip(used, operations, strict=True):
            session.begin(operation)
        return used

    def advance(self, used: Sequence[Session], session: Session) -> Step:
        """Let a session execute its step; return the step, marked if other sessions ran as a consequence."""
        step = session.step
        assert step is not None
        session.resume()
        self._settle(used, session)
        for other in used:
            if other.waiting and other is not session:
                freed = other.step
                self._settle(used, other)
                if not other.waiting and freed is not None:
                    step = replace(step, several=True)
        if all(one.waiting or one.done for one in used) and not all(one.done for one in used):
            self._break_deadlock(used)
        return step

    def _settle(self, used: Sequence[Session], session: Session) -> None:
        """Wait until a session has stopped or ended, or waits for another one."""
        ours = {one.pid for one in used if one is not session and not one.done}
        timeout = 0.0 if session.waiting else _SOON
        for _ in range(_STUCK_AFTER):
            if session.arrived(timeout):
                session.waiting = False
                return
            timeout = _SOON
            row = self.watch.execute(_BLOCKERS, [session.pid]).fetchone()
            if row and set(row[0]) & ours:
                session.waiting = True
                return
        raise AssertionError(f"session {session.number} neither continues nor waits for another")

    def _break_deadlock(self, used: Sequence[Session]) -> None:
        """Wait until PostgreSQL has ended one of the transactions, which all wait."""
        for _ in range(_STUCK_AFTER):
            for session in used:
                if not session.done and session.arrived(_SOON):
                    session.waiting = False
                    for other in used:
                        if other.waiting:
                            self._settle(used, other)
                    return
        raise AssertionError("every session waits, and PostgreSQL ends none of them")


@dataclass(slots=True)
class Recorder:
    """The sessions of one interleaving under way, and the steps that they have executed so far."""

    controller: SessionController
    sessions: Sequence[Session]
    choices: list[int] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)

    def advance(self, session: Session) -> Step:
        """Let a session execute its step, and record it."""
        assert session.step is not None
        self.choices.append(session.number)
        self.labels.append(session.step.label)
        return self.controller.advance(self.sessions, session)

    def run(self) -> Run:
        """Return what was executed, after every session has ended."""
        return Run(
            tuple(self.choices),
            tuple(self.labels),
            tuple(session.result for session in self.sessions),
            tuple(session.error for session in self.sessions),
            sum(session.deadlocks for session in self.sessions),
        )


@contextmanager
def recording(controller: SessionController, operations: Sequence[Runnable]) -> Iterator[Recorder]:
    """Start operations and record their steps; at the end, those that have not ended are abandoned."""
    recorder = Recorder(controller, controller.begin(operations))
    try:
        yield recorder
    finally:
        for session in recorder.sessions:
            session.abandon()
        for session in recorder.sessions:
            session.join()


def explore(
    controller: SessionController, reset: Callable[[], Sequence[Runnable]], *, most: int
) -> Iterator[Run]:
    """Run the interleavings of what ``reset`` returns, up to ``most`` of them, and yield each.

    Those with the fewest switches are run first: most races need one or two. ``reset`` restores the world and
    returns the operations.
    """
    ties = random.Random(0)  # of equally many switches, some from everywhere
    frontier = [(0, 0.0, _Prefix())]
    left = most
    while frontier and left:
        *_, prefix = heappop(frontier)
        run, alternatives = _execute(controller, reset(), prefix)
        for one in alternatives:
            heappush(frontier, (_switches(one.choices), ties.random(), one))
        if run is not None:
            left -= 1
            yield run


def _execute(
    controller: SessionController, operations: Sequence[Runnable], prefix: _Prefix
) -> tuple[Run | None, list[_Prefix]]:
    """Execute a prefix, then go on with the same session while it is enabled and not in the sleep set.

    Return the run, if the sleep set does not end it, and the prefixes that branch off after this one.
    """
    alternatives: list[_Prefix] = []
    with recording(controller, operations) as recorder:
        sleep: dict[int, Step] = {}
        planned = list(reversed(prefix.choices))
        while not all(session.done for session in recorder.sessions):
            enabled = {
                one.number: one.step
                for one in recorder.sessions
                if not one.waiting and not one.done and one.step
            }
            if planned and planned[-1] not in enabled:  # locks were granted in another order than before
                planned.clear()
            if planned:
                chosen = planned.pop()
                if not planned:
                    sleep = dict(prefix.sleep)
            else:
                awake = [number for number in enabled if number not in sleep]
                if not awake:
                    return None, alternatives
                last = recorder.choices[-1] if recorder.choices else 0
                chosen, *others = sorted(awake, key=lambda number: number != last)
                asleep = {**sleep, chosen: enabled[chosen]}
                for other in others:
                    alternatives.append(_Prefix((*recorder.choices, other), dict(asleep)))
                    asleep[other] = enabled[other]
            executed = recorder.advance(controller.sessions[chosen - 1])
            sleep = {
                number: step
                for number, step in sleep.items()
                if number != chosen and not step.depends_on(executed)
            }
    return recorder.run(), alternatives


def _switches(choices: Sequence[int]) -> int:
    return sum(one != two for one, two in pairwise(choices))
