"""The exact instants at which a row counts as stale and as recently refreshed, without a database."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from api_stub.posts.representation import Page
from api_stub.posts.workspace import Workspace
from api_stub.refresh.refreshing import Refresher, make_stale_due
from api_stub.refresh.waiting import CompletionListener
from shared.analytics_row import AnalyticsRow

NOW = datetime(2026, 6, 23, 10, 15, 30, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
MIN_AGE = timedelta(seconds=60)


class RecordingWorkspace:
    """A fake workspace that records the requested refreshes and serves given rows."""

    def __init__(self, rows: Sequence[AnalyticsRow]) -> None:
        self._rows = {row.id: row for row in rows}
        self.made_due: list[int] = []
        self.requested: list[int] = []

    async def make_stale_due(self, ids: Sequence[int]) -> None:
        """Record the ids."""
        self.made_due += ids

    async def request_refresh(self, ids: Sequence[int], since: datetime) -> list[int]:
        """Record the ids; no row is pending."""
        assert since == NOW
        self.requested += ids
        return []

    async def rows(self, ids: Sequence[int]) -> dict[int, AnalyticsRow]:
        """Return the given rows unchanged."""
        return {row_id: self._rows[row_id] for row_id in ids}


def row(row_id: int, **changed: Any) -> AnalyticsRow:
    fresh = AnalyticsRow(
        id=row_id,
        post_id=f"post_{row_id}",
        account_id="acc_1",
        platform="x",
        platform_post_id=None,
        platform_post_url=None,
        text=None,
        created_at=NOW,
        published_at=None,
        metrics={},
        warnings=[],
        sync_status="synced",
        error_message=None,
        last_updated_at=NOW - timedelta(hours=1),
        stale_after=NOW + timedelta(hours=1),
        attempted_at=None,
        outcome=None,
    )
    return fresh._replace(**changed)


@pytest.mark.parametrize(
    ("changed", "stale"),
    [
        ({"stale_after": NOW + MICROSECOND}, False),
        ({"stale_after": NOW}, True),
        ({"stale_after": NOW - MICROSECOND}, True),
        ({"stale_after": None}, False),
        ({"last_updated_at": None, "stale_after": None, "sync_status": "pending"}, True),
        ({"last_updated_at": None, "stale_after": None, "sync_status": "failed"}, False),
        ({"last_updated_at": None, "stale_after": None, "sync_status": "requires_reconnect"}, False),
    ],
)
def test_row_is_stale_from_its_instant_on(changed: dict[str, Any], *, stale: bool) -> None:
    rows = [row(1, **changed), row(2)]
    workspace = RecordingWorkspace(rows)

    asyncio.run(make_stale_due(cast(Workspace, workspace), Page(rows, 2, NOW)))

    assert workspace.made_due == ([1] if stale else [])


@pytest.mark.parametrize(
    ("last_updated_at", "requested"),
    [
        (NOW - MIN_AGE + MICROSECOND, False),
        (NOW - MIN_AGE, True),
        (NOW - MIN_AGE - MICROSECOND, True),
        (NOW, False),
        (None, True),
    ],
)
def test_forced_refresh_includes_a_row_from_the_minimal_age_on(
    last_updated_at: datetime | None, *, requested: bool
) -> None:
    rows = [row(1, last_updated_at=last_updated_at), row(2), row(3, last_updated_at=NOW)]
    workspace = RecordingWorkspace(rows)
    listener = CompletionListener("postgresql://nobody@127.0.0.1:1/none")

    async def force() -> dict[int, str]:
        refresher = Refresher(listener, wait_seconds=0, min_age=MIN_AGE)
        return (await refresher.force(cast(Workspace, workspace), Page(rows, 3, NOW))).warnings

    warnings = asyncio.run(force())

    assert workspace.requested == ([1, 2] if requested else [2])
    codes = {row_id: warning.partition(":")[0] for row_id, warning in warnings.items()}
    expected = "refresh_pending" if requested else "refresh_debounced"
    assert codes == {1: expected, 2: "refresh_pending", 3: "refresh_debounced"}
