"""Publications grouped by what holds them back, for reports about many publications."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from shared.operations.explain import explain
from shared.operations.holds.next_run import NextRun

_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class HeldGroup:
    """Publications that wait for the same thing."""

    cause: str
    """The cause of the hold (`shared.operations.holds.hold.Hold`); ``waiting``: nothing holds them."""
    scope: str
    sentence: str
    rows: int
    at: datetime | None
    """When the first of them will really run; ``None``: not before somebody acts."""
    to_do: str
    examples: tuple[str, ...]
    """The first few post ids, for `dravo why`."""


def held_groups(connection: Connection, publication_ids: Sequence[int]) -> list[HeldGroup]:
    """Return these publications by what holds them back, the largest group first."""
    groups: dict[tuple[str, str, str], HeldGroup] = {}
    for one in explain(connection, publication_ids):
        run = one.next_run
        cause, scope = _cause(run)
        key = cause, scope, run.sentence
        before = groups.get(key)
        groups[key] = HeldGroup(
            cause,
            scope,
            run.sentence,
            (before.rows if before else 0) + 1,
            _first(before, run) if before else run.at,
            run.to_do,
            ((*before.examples, one.row.post_id) if before else (one.row.post_id,))[:_EXAMPLES],
        )
    return sorted(groups.values(), key=lambda group: -group.rows)


def _cause(run: NextRun) -> tuple[str, str]:
    if not run.holds:
        return "waiting", "nothing"
    hold = next((one for one in run.holds if one.needs_operator), run.holds[0])
    return hold.cause, hold.scope


def _first(before: HeldGroup, run: NextRun) -> datetime | None:
    return min(before.at, run.at) if before.at and run.at else before.at or run.at
