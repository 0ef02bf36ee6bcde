"""Totals and deep pages from counts by month and day instead of from rows.

A range of time is taken apart into whole months, whole days, and what sticks out at its ends:

    fromDate ├──┤├── days ──┤├──── months ────┤├── days ──┤├──┤ toDate
             edge                                          edge

Buckets are added up; only the edges, less than a day each, are counted row by row on an index.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from api_stub.posts.instants import Range

_FIRST: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Pieces:
    """A range of time, taken apart; every pair is half open."""

    buckets: tuple[tuple[str, date, date], ...]
    """Grain, first bucket, first bucket behind."""
    edges: tuple[tuple[datetime, datetime | None], ...]
    """``None`` is the end of time: the last microsecond that Python knows has no instant after it."""

    def parameters(self) -> dict[str, Any]:
        """Return the bind parameters of a statement over these pieces."""
        return {
            "grains": [grain for grain, _, _ in self.buckets],
            "bucket_starts": [start for _, start, _ in self.buckets],
            "bucket_ends": [end for _, _, end in self.buckets],
            "edge_starts": [start for start, _ in self.edges],
            "edge_ends": [end for _, end in self.edges],
        }


def take_apart(span: Range, *, days: bool) -> Pieces:
    """Return the pieces of a range; without ``days`` whatever is not a whole month is an edge."""
    start, end = span.start or _FIRST, span.end
    first, behind = _month_from(start), (date.max if end is None else _month(end))
    if first >= behind:
        return _in_days(start, end, days=days)
    before = _in_days(start, _midnight(first), days=days)
    after = Pieces((), ()) if end is None else _in_days(_midnight(behind), end, days=days)
    return Pieces((*before.buckets, ("month", first, behind), *after.buckets), (*before.edges, *after.edges))


def _in_days(start: datetime, end: datetime | None, *, days: bool) -> Pieces:
    if end is not None and start >= end:
        return Pieces((), ())
    first = _day_from(start)
    behind = date.max if end is None else end.date()
    if not days or first >= behind:
        return Pieces((), ((start, end),))
    edges = ((start, _midnight(first)), (_midnight(behind), end))
    return Pieces(
        (("day", first, behind),), tuple(edge for edge in edges if edge[1] is None or edge[0] < edge[1])
    )


def _month(instant: datetime) -> date:
    return instant.date().replace(day=1)


def _month_from(instant: datetime) -> date:
    """Return the first month that begins at or after ``instant``."""
    month = _month(instant)
    if _midnight(month) >= instant:
        return month
    last = (month.year, month.month) == (9999, 12)
    return date.max if last else (month + timedelta(days=32)).replace(day=1)


def _day_from(instant: datetime) -> date:
    """Return the first day that begins at or after ``instant``."""
    day = instant.date()
    return day if _midnight(day) >= instant or day == date.max else day + timedelta(days=1)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
