"""Reads that refresh: stale rows become due in passing; ``refresh=true`` asks, waits and reads again."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from api_stub.http.errors import ApiError
from api_stub.posts.representation import AnalyticsRow, Page
from api_stub.posts.workspace import Workspace
from api_stub.refresh.waiting import Listener
from shared.outcome_kinds import Verdict, outcome_kind
from shared.vocabulary import SyncStatus, WarningCode, warn

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The rows to serve, and what is to be said beside each, by id."""

    rows: Sequence[AnalyticsRow]
    warnings: dict[int, str]


async def touch(workspace: Workspace, page: Page) -> None:
    """Make the missing and stale rows of a page due. Trouble with that keeps nobody from reading."""
    stale = [row.id for row in page.rows if _is_stale(row, page.read_at)]
    if stale:
        try:
            await workspace.touch(stale)
        except ApiError as error:
            _log.warning("stale_rows_not_made_due", detail=error.code)


def _is_stale(row: AnalyticsRow, now: datetime) -> bool:
    if row.last_updated_at is None:
        return row.sync_status == SyncStatus.PENDING
    return row.stale_after is not None and row.stale_after <= now


class Refresher:
    """Answers ``refresh=true``: what it waits for is told to it, and it waits no longer than it may."""

    def __init__(self, listener: Listener, *, wait_seconds: float, min_age: timedelta) -> None:
        self._listener = listener
        self._wait_seconds = wait_seconds
        self._min_age = min_age
        self._debounced = warn(
            WarningCode.REFRESH_DEBOUNCED,
            f"read from the platform less than {min_age.total_seconds():g} s ago, so it was not asked again",
        )

    async def force(self, workspace: Workspace, page: Page) -> Refreshed:
        """Have every row of a page read from its platform again, and return what came of it in time."""
        young = [row.id for row in page.rows if self._is_young(row, page.read_at)]
        wanted = [row.id for row in page.rows if not self._is_young(row, page.read_at)]
        warnings = dict.fromkeys(young, self._debounced)
        if not wanted:
            return Refreshed(page.rows, warnings)
        await self._wait(workspace, wanted, page.read_at)
        found = await workspace.rows([row.id for row in page.rows])
        rows = [found[row.id] for row in page.rows if row.id in found]
        for publication_id in wanted:
            if publication_id in found and not _was_read(found[publication_id], page.read_at):
                warnings[publication_id] = _pending(found[publication_id], page.read_at)
        return Refreshed(rows, warnings)

    async def _wait(self, workspace: Workspace, wanted: list[int], since: datetime) -> None:
        until = asyncio.get_running_loop().time() + self._wait_seconds
        with self._listener.watching(wanted) as watch:
            expected = await workspace.ask(wanted, since)
            while expected and await watch.interrupted(expected, until) and not self._listener.stopping:
                expected = await workspace.awaited(wanted, since)

    def _is_young(self, row: AnalyticsRow, now: datetime) -> bool:
        return row.last_updated_at is not None and now - row.last_updated_at < self._min_age


def _was_read(row: AnalyticsRow, since: datetime) -> bool:
    if row.attempted_at is None or row.attempted_at < since:
        return False
    kind = outcome_kind(row.outcome)
    return kind is None or kind.verdict is not Verdict.RETRIED


def _pending(row: AnalyticsRow, since: datetime) -> str:
    if row.sync_status == SyncStatus.REQUIRES_RECONNECT:
        sentence = "not asked: the account must be reconnected first"
    elif row.attempted_at is not None and row.attempted_at >= since:
        sentence = "the platform could not be asked right now; it will be asked again"
    else:
        sentence = "the platform has not answered yet; these are the last known values"
    return warn(WarningCode.REFRESH_PENDING, sentence)
