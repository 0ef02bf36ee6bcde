"""Schedules as text: which operation goes on up to which of its steps, one line a turn.

    world disconnected
    publish: to COMMIT
    reconnect: to end
    publish: to end

A line lets its operation go on until it is about to execute that step, has ended, or waits for a lock.
``COMMIT#2`` is the second such step of the operation. So a schedule stays readable, and holds when statements
are added elsewhere.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tests.interleavings.explorer import Run, Runnable, Stage
from tests.interleavings.session import Session

END = "end"


@dataclass(frozen=True, slots=True)
class Turn:
    """One operation goes on up to a step."""

    session: int
    until: str


@dataclass(frozen=True, slots=True)
class Schedule:
    """An interleaving that can be replayed."""

    world: str
    operations: tuple[str, ...]
    turns: tuple[Turn, ...]

    @classmethod
    def of(cls, world: str, operations: tuple[str, ...], run: Run) -> "Schedule":
        """Write down a run."""
        ahead: dict[int, list[str]] = {number: [] for number in set(run.choices)}
        counted: dict[int, Counter[str]] = {number: Counter() for number in ahead}
        for number, label in zip(run.choices, run.labels, strict=True):
            counted[number][label] += 1
            times = counted[number][label]
            ahead[number].append(label if times == 1 else f"{label}#{times}")
        executed = dict.fromkeys(ahead, 0)
        turns = []
        for place, number in enumerate(run.choices):
            executed[number] += 1
            if run.choices[place + 1 : place + 2] != (number,):
                left = ahead[number][executed[number] :]
                turns.append(Turn(number, left[0] if left else END))
        return cls(world, operations, tuple(turns))

    @classmethod
    def parse(cls, text: str) -> "Schedule":
        """Read what `__str__` wrote."""
        head, *lines = [line.strip() for line in text.strip().splitlines()]
        named: list[str] = []
        turns = []
        for line in lines:
            name, _, until = line.partition(": to ")
            if name not in named:
                named.append(name)
            turns.append(Turn(named.index(name) + 1, until))
        names = tuple(name.rstrip("'") for name in named)
        return cls(head.removeprefix("world "), names, tuple(turns))

    def __str__(self) -> str:
        shown: list[str] = []
        for name in self.operations:
            shown.append(name + "'" * self.operations[: len(shown)].count(name))
        return "\n".join(
            [f"world {self.world}", *(f"{shown[turn.session - 1]}: to {turn.until}" for turn in self.turns)]
        )


def follow(stage: Stage, operations: Sequence[Runnable], schedule: Schedule) -> Run:
    """Execute a schedule; what it leaves unsaid runs in order afterwards."""
    used = stage.begin(operations)
    choices: list[int] = []
    labels: list[str] = []
    try:
        for turn in (*schedule.turns, *(Turn(session.number, END) for session in (*used, *used))):
            session = used[turn.session - 1]
            while not session.done and not session.waiting and _name(session) != turn.until:
                assert session.step is not None
                labels.append(session.step.label)
                choices.append(session.number)
                stage.advance(used, session)
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


def _name(session: Session) -> str:
    """Name the step before which a session is stopped."""
    label = session.trace[-1]
    times = session.trace.count(label)
    return label if times == 1 else f"{label}#{times}"
