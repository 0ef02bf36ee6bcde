"""Schedules as text: one line for each segment, in which one operation runs up to one of its steps.

    world disconnected
    publish: to COMMIT
    reconnect: to end
    publish: to end

In a segment, the operation runs until it is about to execute that step, has ended, or waits for a lock.
``COMMIT#2`` is the second such step of the operation. So a schedule stays readable, and stays valid when
statements are added elsewhere.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tests.interleavings.engine.explorer import Run, Runnable, SessionController, recording
from tests.interleavings.engine.session import Session

END = "end"


@dataclass(frozen=True, slots=True)
class Segment:
    """One operation runs up to a step."""

    session: int
    until: str


@dataclass(frozen=True, slots=True)
class Schedule:
    """An interleaving that can be replayed."""

    world: str
    operations: tuple[str, ...]
    segments: tuple[Segment, ...]

    @classmethod
    def of(cls, world: str, operations: tuple[str, ...], run: Run) -> "Schedule":
        """Return the schedule of a run."""
        ahead: dict[int, list[str]] = {number: [] for number in set(run.choices)}
        counted: dict[int, Counter[str]] = {number: Counter() for number in ahead}
        for number, label in zip(run.choices, run.labels, strict=True):
            counted[number][label] += 1
            times = counted[number][label]
            ahead[number].append(label if times == 1 else f"{label}#{times}")
        executed = dict.fromkeys(ahead, 0)
        segments = []
        for place, number in enumerate(run.choices):
            executed[number] += 1
            if run.choices[place + 1 : place + 2] != (number,):
                left = ahead[number][executed[number] :]
                segments.append(Segment(number, left[0] if left else END))
        return cls(world, operations, tuple(segments))

    @classmethod
    def parse(cls, text: str) -> "Schedule":
        """Parse the output of `__str__`."""
        head, *lines = [line.strip() for line in text.strip().splitlines()]
        named: list[str] = []
        segments = []
        for line in lines:
            name, _, until = line.partition(": to ")
            if name not in named:
                named.append(name)
            segments.append(Segment(named.index(name) + 1, until))
        names = tuple(name.rstrip("'") for name in named)
        return cls(head.removeprefix("world "), names, tuple(segments))

    def __str__(self) -> str:
        shown: list[str] = []
        for name in self.operations:
            shown.append(name + "'" * self.operations[: len(shown)].count(name))
        return "\n".join(
            [
                f"world {self.world}",
                *(f"{shown[segment.session - 1]}: to {segment.until}" for segment in self.segments),
            ]
        )


def follow(controller: SessionController, operations: Sequence[Runnable], schedule: Schedule) -> Run:
    """Execute a schedule, then the rest of every operation in order."""
    with recording(controller, operations) as recorder:
        used = recorder.sessions
        for segment in (*schedule.segments, *(Segment(session.number, END) for session in (*used, *used))):
            session = used[segment.session - 1]
            while not session.done and not session.waiting and _name(session) != segment.until:
                recorder.advance(session)
    return recorder.run()


def _name(session: Session) -> str:
    """Return the name of the step before which a session has stopped."""
    label = session.trace[-1]
    times = session.trace.count(label)
    return label if times == 1 else f"{label}#{times}"
