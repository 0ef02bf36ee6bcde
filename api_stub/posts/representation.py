"""JSON of analytics rows: ids are strings, instants end in Z, a metric that was not reported is absent."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from api_stub.posts.instants import render

RATIOS: Final = {"share_statistics_engagement": "share_statistics_impression_count"}
"""Metrics that are ratios, never summed, and the counter that each is weighted by."""


class AnalyticsRow(NamedTuple):
    """One publication with its analytics row, in the order of the page statement's columns."""

    id: int
    post_id: str
    account_id: str
    platform: str
    platform_post_id: str | None
    platform_post_url: str | None
    text: str | None
    created_at: datetime
    published_at: datetime | None
    metrics: dict[str, Any]
    warnings: list[str]
    sync_status: str
    error_message: str | None
    last_updated_at: datetime | None
    stale_after: datetime | None
    attempted_at: datetime | None
    outcome: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of analytics rows as PostgreSQL returned it."""

    rows: Sequence[AnalyticsRow]
    total: int
    """The number of all matching rows, on every page."""
    read_at: datetime
    """The database's time of this query."""


def item(row: AnalyticsRow, more_warnings: Sequence[str] = ()) -> dict[str, Any]:
    """Return the JSON object of one row."""
    return {
        "post_id": row.post_id,
        "account_id": row.account_id,
        "platform": row.platform,
        "platform_post_id": row.platform_post_id,
        "platform_post_url": row.platform_post_url,
        "text": row.text,
        "created_at": render(row.created_at),
        "published_at": render(row.published_at),
        "metrics": row.metrics,
        "warnings": [*row.warnings, *more_warnings],
        "sync_status": row.sync_status,
        "error_message": row.error_message,
        "last_updated_at": render(row.last_updated_at),
        "stale_after": render(row.stale_after),
    }


def overview(rows: Sequence[AnalyticsRow]) -> dict[str, Any]:
    """Return the sums over these rows: counters are added by key, ratios averaged by weight."""
    sums: dict[str, Any] = {}
    for row in rows:
        for name, value in row.metrics.items():
            if name not in RATIOS:
                sums[name] = sums.get(name, 0) + value
    for name, weight in RATIOS.items():
        average = _weighted(rows, name, weight)
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
