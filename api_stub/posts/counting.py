"""Splitting of time ranges, so that totals and deep pages are computed from counts by month and day.

A range is split into whole months, whole days, and the rest at both ends:

    fromDate ├──┤├── days ──┤├──── months ────┤├── days ──┤├──┤ toDate
             edge                                          edge

The counts of months and days are added up; only the edges, each shorter than a day, are counted on an index.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from api_stub.posts.instants import Range

_FIRST: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RangeParts:
    """A range of time, split into count buckets and edges; every pair excludes its end."""

    buckets: tuple[tuple[str, date, date], ...]
    """Grain, first bucket, first bucket after the last one."""
    edges: tuple[tuple[datetime, datetime | None], ...]
    """First instant and end; ``None``: no end, because Python's last microsecond has no successor."""

    def parameters(self) -> dict[str, Any]:
        """Return the bind parameters of a statement over these parts."""
        return {
            "grains": [grain for grain, _, _ in self.buckets],
            "bucket_starts": [start for _, start, _ in self.buckets],
            "bucket_ends": [end for _, _, end in self.buckets],
            "edge_starts": [start for start, _ in self.edges],
            "edge_ends": [end for _, end in self.edges],
        }


def split_range(span: Range, *, days: bool) -> RangeParts:
    """Return the parts of a range; without ``days`` everything but whole months is an edge."""
    start, end = span.start or _FIRST, span.end
    first, after_last = _month_from(start), (date.max if end is None else _month(end))
    if first >= after_last:
        return _in_days(start, end, days=days)
    head = _in_days(start, _midnight(first), days=days)
    tail = RangeParts((), ()) if end is None else _in_days(_midnight(after_last), end, days=days)
    return RangeParts(
        (*head.buckets, ("month", first, after_last), *tail.buckets), (*head.edges, *tail.edges)
    )


def _in_days(start: datetime, end: datetime | None, *, days: bool) -> RangeParts:
    if end is not None and start >= end:
        return RangeParts((), ())
    first = _day_from(start)
    after_last = date.max if end is None else end.date()
    if not days or first >= after_last:
        return RangeParts((), ((start, end),))
    edges = ((start, _midnight(first)), (_midnight(after_last), end))
    return RangeParts(
        (("day", first, after_last),), tuple(edge for edge in edges if edge[1] is None or edge[0] < edge[1])
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
