"""Refresh on read: every read makes stale rows due; ``refresh=true`` makes all due and waits for them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from api_stub.http.errors import ApiError
from api_stub.posts.representation import Page
from api_stub.posts.workspace import Workspace
from api_stub.refresh.waiting import CompletionListener
from shared.analytics_row import AnalyticsRow
from shared.outcome_kinds import Verdict, outcome_kind
from shared.vocabulary import SyncStatus, WarningCode, warn

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RefreshResult:
    """The rows to serve, and the warning to add to some of them, by publication id."""

    rows: Sequence[AnalyticsRow]
    warnings: dict[int, str]


async def make_stale_due(workspace: Workspace, page: Page) -> None:
    """Make the missing and stale rows of a page due. An error is logged: the page is served anyway."""
    stale = [row.id for row in page.rows if _is_stale(row, page.read_at)]
    if stale:
        try:
            await workspace.make_stale_due(stale)
        except ApiError as error:
            _log.warning("stale_rows_not_made_due", detail=error.code)


def _is_stale(row: AnalyticsRow, now: datetime) -> bool:
    if row.last_updated_at is None:
        return row.sync_status == SyncStatus.PENDING
    return row.stale_after is not None and row.stale_after <= now


class Refresher:
    """Carries out ``refresh=true``: requests refreshes and waits for their completion up to a time limit."""

    def __init__(self, listener: CompletionListener, *, wait_seconds: float, min_age: timedelta) -> None:
        self._listener = listener
        self._wait_seconds = wait_seconds
        self._min_age = min_age
        self._debounced = warn(
            WarningCode.REFRESH_DEBOUNCED,
            f"read from the platform less than {min_age.total_seconds():g} s ago: not refreshed again",
        )

    async def force(self, workspace: Workspace, page: Page) -> RefreshResult:
        """Request a refresh of every row of a page, and return the rows as they are when the wait ends."""
        recent = [row.id for row in page.rows if self._is_recent(row, page.read_at)]
        requested = [row.id for row in page.rows if not self._is_recent(row, page.read_at)]
        warnings = dict.fromkeys(recent, self._debounced)
        if not requested:
            return RefreshResult(page.rows, warnings)
        await self._wait(workspace, requested, page.read_at)
        rows_by_id = await workspace.rows([row.id for row in page.rows])
        rows = [rows_by_id[row.id] for row in page.rows if row.id in rows_by_id]
        pending = [
            one
            for one in requested
            if one in rows_by_id and not _was_refreshed(rows_by_id[one], page.read_at)
        ]
        if pending:
            sentences = await workspace.next_runs(pending)
            warnings |= {one: warn(WarningCode.REFRESH_PENDING, sentences[one]) for one in sentences}
        return RefreshResult(rows, warnings)

    async def _wait(self, workspace: Workspace, requested: list[int], since: datetime) -> None:
        until = asyncio.get_running_loop().time() + self._wait_seconds
        with self._listener.watching(requested) as watch:
            pending = await workspace.request_refresh(requested, since)
            while pending and await watch.interrupted(pending, until) and not self._listener.stopping:
                pending = await workspace.still_pending(requested, since)

    def _is_recent(self, row: AnalyticsRow, now: datetime) -> bool:
        return row.last_updated_at is not None and now - row.last_updated_at < self._min_age


def _was_refreshed(row: AnalyticsRow, since: datetime) -> bool:
    if row.attempted_at is None or row.attempted_at < since:
        return False
    kind = outcome_kind(row.outcome)
    return kind is None or kind.verdict is not Verdict.RETRIED
