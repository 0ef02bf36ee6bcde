"""A page of analytics rows, and the sums over its rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from shared.analytics_row import AnalyticsRow

RATIOS: Final = {"share_statistics_engagement": "share_statistics_impression_count"}
"""Metrics that are ratios, never summed, and the counter that each is weighted by."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of analytics rows as PostgreSQL returned it."""

    rows: Sequence[AnalyticsRow]
    total: int
    """The number of all matching rows, on every page."""
    read_at: datetime
    """The database's time of this query."""


def overview(rows: Sequence[AnalyticsRow]) -> dict[str, Any]:
    """Return the sums over these rows: counters are added by key, ratios averaged by weight."""
    sums: dict[str, Any] = {}
    for row in rows:
        for name, value in row.metrics.items():
            sums[name] = sums.get(name, 0) + value
    for name in RATIOS.keys() & sums.keys():
        del sums[name]
        average = _weighted(rows, name, RATIOS[name])
        if average is not None:
            sums[name] = average
    return {"posts": len({row.post_id for row in rows}), "metrics": sums}


def _weighted(rows: Sequence[AnalyticsRow], name: str, weight: str) -> float | None:
    weighed = [
        (row.metrics[name], row.metrics[weight])
        for row in rows
        if name in row.metrics and weight in row.metrics
    ]
    whole = sum(weight for _, weight in weighed)
    return sum(value * weight for value, weight in weighed) / whole if whole else None
