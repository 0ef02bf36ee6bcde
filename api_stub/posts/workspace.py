"""Access to the tables for one workspace: the id of the workspace is bound into every statement."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final, LiteralString, NamedTuple, Protocol

from api_stub.http.database import Connection, Database, pyformat
from api_stub.posts import statements
from api_stub.posts.counting import split_range
from api_stub.posts.parameters import Filters, HistoryQuery, PostsQuery
from api_stub.posts.representation import Page
from shared.analytics_row import AnalyticsRow
from shared.observability import failpoints
from shared.operations.holds.for_clients import sentence_for_clients
from shared.operations.holds.next_run import RowState, next_run
from shared.quota.pauses import PauseInForce
from shared.refresh_state.make_due import MAKE_DUE, parameters
from shared.refresh_state.notifications import DUE_CHANNEL, due_payload
from shared.vocabulary import PauseKind, Reason

DEEP_OFFSET: Final = 1_000
"""The largest offset whose rows are skipped one by one; for a deeper page, counts locate its start."""
MAX_SNAPSHOTS: Final = 10_000
"""Snapshots that one history response may hold."""
_FIRST: Final = datetime.min.replace(tzinfo=UTC)

_MAKE_DUE: Final = pyformat(MAKE_DUE)
_NOTIFY: Final = "SELECT pg_notify(%(channel)s, %(payload)s)"


class RefreshProgress(NamedTuple):
    """How far the requested refresh of a row is."""

    publication_id: int
    refreshed: bool
    requested: bool
    refreshable: bool

    @property
    def pending(self) -> bool:
        """Whether the row will be refreshed, and has not been yet."""
        return self.requested and self.refreshable and not self.refreshed

    @property
    def unrequested(self) -> bool:
        """Whether the row was neither refreshed nor is a refresh of it requested."""
        return not self.refreshed and not self.requested


class PublicationRef(NamedTuple):
    """One publication of a post."""

    id: int
    post_id: str
    account_id: str
    platform: str
    platform_post_id: str | None


class Snapshot(NamedTuple):
    """One snapshot of a publication's history; unchanged reads are one snapshot."""

    publication_id: int
    interval_start: datetime
    taken_at: datetime
    last_seen_at: datetime
    sync_status: str
    metrics: dict[str, Any]


class Reads(Protocol):
    """Where pages and histories are read: the primary, or a replica that may be behind."""

    async def fetch(
        self, statement: LiteralString, parameters: Mapping[str, Any] | None = None
    ) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows. Raises `ApiError` (503)."""


class Workspace:
    """Queries and refresh requests of one workspace, whose id is bound into every statement."""

    def __init__(self, database: Database, workspace_id: str, reads: Reads | None = None) -> None:
        """Bind a workspace; ``reads`` is for what may be a little behind, and the primary by default."""
        self._database = database
        self._workspace_id = workspace_id
        self._reads = database if reads is None else reads

    async def page(self, query: PostsQuery) -> Page:
        """Return a page of matching rows, the newest first, and the exact total."""
        bound = _bind(query.filters)
        offset, end = query.offset, query.filters.created.end
        if offset > DEEP_OFFSET and query.filters.post_id is None:
            offset, end = await self._locate(query.filters, bound, offset)
        rows = await self._read(
            statements.page(_shape(query.filters, end)),
            {**bound, "end": end, "limit": query.limit, "offset": offset},
        )
        total, read_at = rows[0][:2]
        page = [AnalyticsRow(*columns[2:]) for columns in rows if columns[2] is not None]
        return Page(page, total, read_at)

    async def _locate(
        self, filters: Filters, bound: dict[str, Any], offset: int
    ) -> tuple[int, datetime | None]:
        """Return an instant and the rows to skip before it, which is the same place as ``offset``."""
        rows = await self._read(
            statements.deep_page_start(_shape(filters, filters.created.end)), {**bound, "offset": offset}
        )
        if not rows:
            return 0, _FIRST  # after the last row: an empty page
        end, before = rows[0]
        return offset - before, end

    async def rows(self, ids: Sequence[int]) -> dict[int, AnalyticsRow]:
        """Return these rows as they are now, by id; one that was deleted meanwhile is missing."""
        rows = await self._fetch(statements.ROWS, {"ids": list(ids)})
        return {columns[0]: AnalyticsRow(*columns) for columns in rows}

    async def publications(self, post_id: str) -> list[PublicationRef]:
        """Return the publications that a post id, or a platform's post id, names."""
        rows = await self._read(statements.PUBLICATIONS_OF, {"post": post_id})
        return [PublicationRef(*columns) for columns in rows]

    async def history(self, ids: Sequence[int], query: HistoryQuery) -> list[Snapshot]:
        """Return snapshots of these publications, the newest first: `MAX_SNAPSHOTS`, and one more if any."""
        statement = statements.RAW_HISTORY if query.interval == "raw" else statements.HISTORY_BY_INTERVAL
        bounds = {"start": query.accepted.start or _FIRST, "end": query.accepted.end}
        rows = await self._read(
            statement, {"ids": list(ids), "grain": query.interval, "limit": MAX_SNAPSHOTS + 1, **bounds}
        )
        return [Snapshot(*columns) for columns in rows]

    async def make_stale_due(self, ids: Sequence[int]) -> None:
        """Make those of these missing or stale rows due that are not due yet."""
        query = {"ids": list(ids)}
        if await self._fetch(statements.NOT_YET_DUE, query):
            async with self._locked(query) as connection:
                cursor = await connection.execute(statements.NOT_YET_DUE, self._bound(query))
                await self._make_due(connection, [row[0] for row in await cursor.fetchall()], Reason.READ)

    async def request_refresh(self, ids: Sequence[int], since: datetime) -> list[int]:
        """Make rows due in the interactive lane; return those that will be refreshed and were not ``since``.

        A row whose refresh is already requested, by whomever, is not requested again.
        """
        query = {"ids": list(ids), "since": since}
        progress = await self._progress(ids, since)
        if any(row.unrequested for row in progress):
            async with self._locked(query) as connection:
                cursor = await connection.execute(statements.REFRESH_PROGRESS, self._bound(query))
                locked = map(RefreshProgress._make, await cursor.fetchall())
                unrequested = [row.publication_id for row in locked if row.unrequested]
                await self._make_due(connection, unrequested, Reason.FORCED)
            progress = await self._progress(ids, since)
        return [row.publication_id for row in progress if row.pending]

    async def still_pending(self, ids: Sequence[int], since: datetime) -> list[int]:
        """Return those of these rows that will be refreshed and were not ``since``."""
        return [row.publication_id for row in await self._progress(ids, since) if row.pending]

    async def next_runs(self, ids: Sequence[int]) -> dict[int, str]:
        """Return why these rows do not run now, by id, as half sentences for clients."""
        sentences = {}
        for *columns, now, paused in await self._fetch(statements.HOLDS, {"ids": list(ids)}):
            row = RowState(*columns)
            answer = next_run(row, [_pause(one) for one in paused or ()], now)
            sentences[row.publication_id] = sentence_for_clients(answer, row.platform, now)
        return sentences

    async def _progress(self, ids: Sequence[int], since: datetime) -> list[RefreshProgress]:
        rows = await self._fetch(statements.REFRESH_PROGRESS, {"ids": list(ids), "since": since})
        return [RefreshProgress(*columns) for columns in rows]

    @asynccontextmanager
    async def _locked(self, query: dict[str, Any]) -> AsyncIterator[Connection]:
        async with self._database.transaction() as connection:
            # MAKE_DUE has no OFFSET 0 as our statements do: a plan for these very ids uses the primary key.
            await connection.execute("SET LOCAL plan_cache_mode = force_custom_plan")
            await connection.execute(statements.LOCK, self._bound(query))
            yield connection

    async def _make_due(self, connection: Connection, ids: Sequence[int], reason: Reason) -> None:
        if ids:
            cursor = await connection.execute(_MAKE_DUE, parameters(self._workspace_id, ids, reason))
            claims = [(row[0], row[1]) for row in await cursor.fetchall()]
            await connection.execute(_NOTIFY, {"channel": DUE_CHANNEL, "payload": due_payload(claims)})
            failpoints.hit("made_due")

    async def _fetch(self, statement: LiteralString, query: dict[str, Any]) -> list[tuple[Any, ...]]:
        return await self._database.fetch(statement, self._bound(query))

    async def _read(self, statement: LiteralString, query: dict[str, Any]) -> list[tuple[Any, ...]]:
        return await self._reads.fetch(statement, self._bound(query))

    def _bound(self, query: dict[str, Any]) -> dict[str, Any]:
        return {**query, "workspace": self._workspace_id}


def _pause(columns: Sequence[str]) -> PauseInForce:
    """Return a pause from its JSON; its reason is for operators alone, so it is not read."""
    platform, kind, subject, paused_at, paused_until = columns
    return PauseInForce(
        platform,
        PauseKind(kind),
        subject,
        datetime.fromisoformat(paused_at),
        datetime.fromisoformat(paused_until),
        reason="",
        refusals=1,
    )


def _shape(filters: Filters, end: datetime | None) -> statements.Shape:
    return statements.Shape(
        post=filters.post_id is not None,
        account=filters.account_id is not None,
        platform=filters.platform is not None,
        start=filters.created.start is not None,
        end=end is not None,
    )


def _bind(filters: Filters) -> dict[str, Any]:
    parts = split_range(filters.created, days=filters.account_id is None)
    return {
        "post": filters.post_id,
        "account": filters.account_id,
        "platform": filters.platform,
        "start": filters.created.start,
        **parts.parameters(),
    }
