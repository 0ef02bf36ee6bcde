"""One analytics row as clients see it: ids are strings, instants end in Z, an unreported metric is absent."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, LiteralString, NamedTuple

from pydantic_core import to_json

ITEM_COLUMNS: Final[LiteralString] = """
       p.id, p.post_id, p.account_id, p.platform, COALESCE(p.platform_post_id, p.publish_id),
       p.platform_post_url, p.text, p.created_at, p.published_at, a.metrics, a.warnings, a.sync_status,
       a.error_message, a.last_updated_at, a.stale_after
"""
"""The columns of what is served, of ``publications p`` and ``post_analytics a``."""
COLUMNS: Final[LiteralString] = f"{ITEM_COLUMNS}, a.attempted_at, a.outcome, a.freshness"
"""The columns of a whole `AnalyticsRow`."""


class AnalyticsRow(NamedTuple):
    """One publication with its analytics row, in the order of `COLUMNS`.

    A row of `ITEM_COLUMNS` alone lacks what has a default.
    """

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
    attempted_at: datetime | None = None
    outcome: str | None = None
    freshness: dict[str, Any] | None = None
    """What the last plan stored (`shared.freshness.plan`); not served as it is."""


def item(row: AnalyticsRow, more_warnings: Sequence[str] = ()) -> dict[str, Any]:
    """Return the JSON object of one row, whose instants `encoded` renders."""
    return {
        "publication_id": str(row.id),
        "post_id": row.post_id,
        "account_id": row.account_id,
        "platform": row.platform,
        "platform_post_id": row.platform_post_id,
        "platform_post_url": row.platform_post_url,
        "text": row.text,
        "created_at": row.created_at,
        "published_at": row.published_at,
        "metrics": row.metrics,
        "warnings": [*row.warnings, *more_warnings],
        "sync_status": row.sync_status,
        "error_message": row.error_message,
        "last_updated_at": row.last_updated_at,
        "stale_after": row.stale_after,
    }


def encoded(body: object) -> bytes:
    """Return what clients get as compact UTF-8 JSON.

    Instants are RFC 3339; those in UTC end in ``Z``, and have microseconds only when they are not zero.
    """
    return to_json(body, inf_nan_mode="null")
