"""Depth-first search over interleavings, each executed for real from the start."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from sqlalchemy import Engine

from tests.interleavings.footprint import Step
from tests.interleavings.session import Session
from tests.servers import connect

Runnable = Callable[[Engine], Any]

_SOON = 0.004
_STUCK_AFTER = 5_000  # polls
_BLOCKERS = "SELECT pg_blocking_pids(%s)"


@dataclass(slots=True)
class Run:
    """One interleaving that was executed to its end."""

    choices: tuple[int, ...]
    """Which session went on at each point."""
    labels: tuple[str, ...]
    """What it executed there."""
    results: tuple[Any, ...]
    errors: tuple[BaseException | None, ...]
    deadlocks: int

    @property
    def switches(self) -> int:
        """How often another session went on than the one before."""
        return sum(one != two for one, two in zip(self.choices, self.choices[1:], strict=False))


@dataclass(slots=True)
class _Node:
    """A point of the search: who may go on there, and who has been tried or need not be."""

    able: dict[int, Step]
    sleep: dict[int, Step]
    chosen: int = -1
    executed: Step | None = None
    tried: dict[int, Step] = field(default_factory=dict)


class Stage:
    """The sessions and a connection that watches who waits for whom."""

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
        """Let one session execute its step; return what was executed, by it and by whom it set free."""
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
        """Wait until a session has stopped, ended, or waits for another one."""
        ours = {one.pid for one in used if one is not session and not one.done}
        for _ in range(_STUCK_AFTER):
            if session.arrived(_SOON):
                session.waiting = False
                return
            row = self.watch.execute(_BLOCKERS, [session.pid]).fetchone()
            if row and set(row[0]) & ours:
                session.waiting = True
                return
        raise AssertionError(f"session {session.number} neither goes on nor waits for another")

    def _break_deadlock(self, used: Sequence[Session]) -> None:
        """Everybody waits: PostgreSQL ends one of the transactions."""
        for _ in range(_STUCK_AFTER):
            for session in used:
                if not session.done and session.arrived(_SOON):
                    session.waiting = False
                    for other in used:
                        if other.waiting:
                            self._settle(used, other)
                    return
        raise AssertionError("every session waits, and PostgreSQL ends none of them")


def explore(
    stage: Stage, reset: Callable[[], Sequence[Runnable]], *, most: int, transactions_only: bool = False
) -> Iterator[Run]:
    """Run the interleavings of what ``reset`` returns, up to ``most`` of them, and yield each.

    ``reset`` puts the world back and returns the operations anew. With ``transactions_only`` a session that
    has begun a transaction goes on to its COMMIT, if it can.
    """
    path: list[_Node] = []
    left = most
    while left:
        run = _execute(stage, reset(), path, transactions_only=transactions_only)
        if run is not None:
            left -= 1
            yield run
        while path and not _next(path[-1]):
            path.pop()
        if not path:
            return


def _next(node: _Node) -> bool:
    """Choose what has not been tried at a node; return whether there is anything left."""
    if node.executed is not None:
        node.tried[node.chosen] = node.able[node.chosen]
    left = [number for number in node.able if number not in node.tried and number not in node.sleep]
    if not left:
        return False
    node.chosen, node.executed = left[0], None
    return True


def _execute(
    stage: Stage, operations: Sequence[Runnable], path: list[_Node], *, transactions_only: bool
) -> Run | None:
    """Execute the choices of the path, and beyond them the first ones that need no other's run."""
    used = stage.begin(operations)
    choices: list[int] = []
    labels: list[str] = []
    try:
        while not all(session.done for session in used):
            depth = len(choices)
            able = {one.number: one.step for one in used if not one.waiting and not one.done and one.step}
            if transactions_only and choices and choices[-1] in able and not able[choices[-1]].begins:
                able = {choices[-1]: able[choices[-1]]}
            if depth == len(path):
                path.append(_Node(able, _asleep(path)))
                if not _next(path[-1]):
                    return None
            node = path[depth]
            if node.chosen not in able:  # a lock was granted in another order than the last time
                del path[depth:]
                continue
            label = able[node.chosen].label
            node.executed = stage.advance(used, stage.sessions[node.chosen - 1])
            choices.append(node.chosen)
            labels.append(label)
    finally:
        for session in used:
            session.abandon()
        for session in used:
            session.join()
    return Run(
        tuple(choices),
        tuple(labels),
        tuple(session.result for session in used),
        tuple(session.error for session in used),
        sum(session.deadlocks for session in used),
    )


def _asleep(path: list[_Node]) -> dict[int, Step]:
    """Return whose next step has been explored already from an equivalent point."""
    if not path:
        return {}
    node = path[-1]
    assert node.executed is not None
    before = {**node.sleep, **node.tried}
    return {
        number: step
        for number, step in before.items()
        if number != node.chosen and not step.depends_on(node.executed)
    }
