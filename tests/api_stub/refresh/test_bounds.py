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
        self.made_due: list[list[int]] = []
        self.requested: list[int] = []

    async def make_stale_due(self, ids: Sequence[int]) -> None:
        """Record the ids."""
        self.made_due.append(list(ids))

    async def request_refresh(self, ids: Sequence[int], since: datetime) -> list[int]:
        """Record the ids; no row is pending."""
        assert since == NOW
        self.requested += ids
        return []

    async def next_runs(self, ids: Sequence[int]) -> dict[int, str]:
        """Return the same sentence for every row."""
        return dict.fromkeys(ids, "it waits")

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

    assert workspace.made_due == ([[1]] if stale else [])


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


@pytest.mark.parametrize(
    ("changed", "warned"),
    [
        ({"attempted_at": NOW, "outcome": "synced"}, False),
        ({"attempted_at": NOW, "outcome": "failed"}, False),
        ({"attempted_at": NOW, "outcome": None}, False),
        ({"attempted_at": NOW, "outcome": "retry"}, True),
        ({"attempted_at": NOW - MICROSECOND, "outcome": "synced"}, True),
        ({}, True),
        ({"attempted_at": NOW, "outcome": "paused", "sync_status": "requires_reconnect"}, True),
    ],
)
def test_row_that_was_not_refreshed_has_a_warning(changed: dict[str, Any], *, warned: bool) -> None:
    workspace = RecordingWorkspace([row(1, **changed)])
    listener = CompletionListener("postgresql://nobody@127.0.0.1:1/none")
    refresher = Refresher(listener, wait_seconds=0, min_age=timedelta(seconds=1.5))

    result = asyncio.run(refresher.force(cast(Workspace, workspace), Page([row(1)], 1, NOW)))

    assert result.rows == [row(1, **changed)]
    assert result.warnings == ({1: "refresh_pending: it waits"} if warned else {})


def test_debounced_row_names_the_minimal_age() -> None:
    listener = CompletionListener("postgresql://nobody@127.0.0.1:1/none")
    refresher = Refresher(listener, wait_seconds=0, min_age=timedelta(seconds=1.5))
    recent = [row(1, last_updated_at=NOW)]
    workspace = RecordingWorkspace(recent)

    result = asyncio.run(refresher.force(cast(Workspace, workspace), Page(recent, 1, NOW)))

    sentence = "refresh_debounced: read from the platform less than 1.5 s ago: not refreshed again"
    assert (result.rows, result.warnings) == (recent, {1: sentence})
    assert workspace.requested == []


class AnsweringWorkspace(RecordingWorkspace):
    """A fake workspace that answers by a script which rows are still pending."""

    def __init__(self, rows: Sequence[AnalyticsRow], pending: Sequence[list[int]]) -> None:
        super().__init__(rows)
        self.pending = list(pending)

    async def request_refresh(self, ids: Sequence[int], since: datetime) -> list[int]:
        """Return the first answer."""
        await super().request_refresh(ids, since)
        return self.pending.pop(0)

    async def still_pending(self, ids: Sequence[int], since: datetime) -> list[int]:
        """Return the next answer."""
        assert (list(ids), since) == ([1, 2], NOW)
        return self.pending.pop(0)


@pytest.mark.parametrize(
    ("pending", "event", "left"),
    [
        ([[]], "nothing", 0),
        ([[1, 2]], "all finish", 0),
        ([[1, 2], [2], []], "interrupted", 0),
        ([[1, 2], [2]], "stopped", 1),
    ],
)
def test_wait_ends_when_all_rows_are_refreshed_or_the_service_stops(
    pending: list[list[int]], event: str, left: int
) -> None:
    rows = [row(1), row(2)]
    workspace = AnsweringWorkspace(rows, pending)
    listener = CompletionListener("postgresql://nobody@127.0.0.1:1/none")

    async def force() -> None:
        refresher = Refresher(listener, wait_seconds=20, min_age=timedelta(0))
        waiting = asyncio.create_task(refresher.force(cast(Workspace, workspace), Page(rows, 2, NOW)))
        while not waiting.done():
            await asyncio.sleep(0)
            if event == "all finish":
                for publication_id, watches in listener._watches.items():
                    for watch in watches:
                        watch.finish(publication_id)
            elif event == "interrupted":
                listener._interrupt()
            elif event == "stopped" and listener._watches:
                listener.stop()
        await waiting
        assert listener._watches == {}

    asyncio.run(asyncio.wait_for(force(), 10))

    assert len(workspace.pending) == left


def test_wait_ends_at_its_time_limit_without_another_query() -> None:
    rows = [row(1), row(2)]
    workspace = AnsweringWorkspace(rows, [[1, 2], [1, 2]])
    listener = CompletionListener("postgresql://nobody@127.0.0.1:1/none")
    refresher = Refresher(listener, wait_seconds=0.01, min_age=timedelta(0))

    result = asyncio.run(refresher.force(cast(Workspace, workspace), Page(rows, 2, NOW)))

    assert len(workspace.pending) == 1
    assert result.warnings.keys() == {1, 2}


def test_request_still_waits_for_a_row_that_another_request_no_longer_waits_for() -> None:
    listener = CompletionListener("postgresql://nobody@127.0.0.1:1/none")

    async def check() -> None:
        with listener.watching([1]) as watch:
            with listener.watching([1, 1]):
                pass
            (remaining,) = listener._watches[1]
            remaining.finish(1)
            assert not await watch.interrupted([1], asyncio.get_running_loop().time() + 10)
        assert listener._watches == {}

    asyncio.run(asyncio.wait_for(check(), 5))
