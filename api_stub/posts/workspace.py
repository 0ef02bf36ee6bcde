"""The one door to the tables: no query without a `Workspace`, no `Workspace` without a caller."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final, LiteralString, NamedTuple

from api_stub.http.database import Connection, Database
from api_stub.posts import statements
from api_stub.posts.counting import take_apart
from api_stub.posts.parameters import Filters, HistoryQuery, PostsQuery
from api_stub.posts.representation import AnalyticsRow, Page
from shared.observability import failpoints
from shared.refresh_state.make_due import MAKE_DUE, parameters
from shared.refresh_state.notifications import DUE_CHANNEL, due_payload
from shared.vocabulary import Reason

DEEP: Final = 1_000
"""Rows that are skipped one by one; a page that begins deeper is looked up by counts first."""
MOST_POINTS: Final = 10_000
"""Snapshots that one answer about history may hold."""
_FIRST: Final = datetime.min.replace(tzinfo=UTC)

# The shared statement is written for SQLAlchemy (:name); psycopg spells a parameter %(name)s.
_MAKE_DUE: Final = re.sub(r"(?<!:):([a-z_]+)", r"%(\1)s", MAKE_DUE)
_RING: Final = "SELECT pg_notify(%(channel)s, %(payload)s)"


class Standing(NamedTuple):
    """How a row stands that somebody wants read again."""

    publication_id: int
    answered: bool
    asked: bool
    answerable: bool

    @property
    def awaited(self) -> bool:
        """Whether it will be read, and was not yet."""
        return self.asked and self.answerable and not self.answered


class NamedPublication(NamedTuple):
    """One publication of a post."""

    id: int
    post_id: str
    account_id: str
    platform: str
    platform_post_id: str | None


class Point(NamedTuple):
    """One snapshot of a publication's history; unchanged reads are one snapshot."""

    publication_id: int
    interval_start: datetime
    taken_at: datetime
    last_seen_at: datetime
    sync_status: str
    metrics: dict[str, Any]


class Workspace:
    """The rows of one workspace. Its id is bound here, into every statement that is run."""

    def __init__(self, database: Database, workspace_id: str) -> None:
        self._database = database
        self._workspace_id = workspace_id

    async def page(self, query: PostsQuery) -> Page:
        """Return a page of matching rows, the newest first, and the exact total."""
        bound = _bind(query.filters)
        offset, end = query.offset, query.filters.created.end
        if offset > DEEP and query.filters.post_id is None:
            offset, end = await self._locate(query.filters, bound, offset)
        found = await self._fetch(
            statements.page(_shape(query.filters, end)),
            {**bound, "end": end, "limit": query.limit, "offset": offset},
        )
        total, read_at = found[0][:2]
        rows = [AnalyticsRow(*columns[2:]) for columns in found if columns[2] is not None]
        return Page(rows, total, read_at)

    async def _locate(
        self, filters: Filters, bound: dict[str, Any], offset: int
    ) -> tuple[int, datetime | None]:
        """Return how many rows to skip before which instant, instead of ``offset`` rows from the newest."""
        found = await self._fetch(
            statements.beginning(_shape(filters, filters.created.end)), {**bound, "offset": offset}
        )
        if not found:
            return 0, _FIRST  # behind the last row
        end, before = found[0]
        return offset - before, end

    async def rows(self, ids: Sequence[int]) -> dict[int, AnalyticsRow]:
        """Return these rows as they are now, by id; one that was deleted meanwhile is missing."""
        found = await self._fetch(statements.ROWS, {"ids": list(ids)})
        return {columns[0]: AnalyticsRow(*columns) for columns in found}

    async def publications(self, post_id: str) -> list[NamedPublication]:
        """Return the publications that a post id, or a platform's post id, names."""
        found = await self._fetch(statements.PUBLICATIONS_OF, {"post": post_id})
        return [NamedPublication(*columns) for columns in found]

    async def history(self, ids: Sequence[int], query: HistoryQuery) -> list[Point]:
        """Return snapshots of these publications, the newest first: `MOST_POINTS`, and one more if any."""
        statement = statements.RAW_HISTORY if query.interval == "raw" else statements.HISTORY_BY_INTERVAL
        bounds = {"start": query.taken.start or _FIRST, "end": query.taken.end}
        found = await self._fetch(
            statement, {"ids": list(ids), "grain": query.interval, "limit": MOST_POINTS + 1, **bounds}
        )
        return [Point(*columns) for columns in found]

    async def touch(self, ids: Sequence[int]) -> None:
        """Make rows due that a read found missing or stale, those that nobody did yet."""
        query = {"ids": list(ids)}
        if await self._fetch(statements.WAITING, query):
            async with self._locked(query) as connection:
                cursor = await connection.execute(statements.WAITING, self._bound(query))
                await self._make_due(connection, [row[0] for row in await cursor.fetchall()], Reason.READ)

    async def ask(self, ids: Sequence[int], since: datetime) -> list[int]:
        """Make rows due for somebody who waits; return the ones that will be read and were not ``since``.

        What was asked for already, by anybody, is not asked for again.
        """
        query = {"ids": list(ids), "since": since}
        standing = await self._standing(ids, since)
        if any(not row.answered and not row.asked for row in standing):
            async with self._locked(query) as connection:
                cursor = await connection.execute(statements.STANDING, self._bound(query))
                locked = map(Standing._make, await cursor.fetchall())
                unasked = [row.publication_id for row in locked if not row.answered and not row.asked]
                await self._make_due(connection, unasked, Reason.FORCED)
            standing = await self._standing(ids, since)
        return [row.publication_id for row in standing if row.awaited]

    async def awaited(self, ids: Sequence[int], since: datetime) -> list[int]:
        """Return which of these rows will be read and were not ``since``."""
        return [row.publication_id for row in await self._standing(ids, since) if row.awaited]

    async def _standing(self, ids: Sequence[int], since: datetime) -> list[Standing]:
        found = await self._fetch(statements.STANDING, {"ids": list(ids), "since": since})
        return [Standing(*columns) for columns in found]

    @asynccontextmanager
    async def _locked(self, query: dict[str, Any]) -> AsyncIterator[Connection]:
        async with self._database.transaction() as connection:
            # The shared statement is planned for these very ids: it knows nothing of the fence in ours.
            await connection.execute("SET LOCAL plan_cache_mode = force_custom_plan")
            await connection.execute(statements.LOCK, self._bound(query))
            yield connection

    async def _make_due(self, connection: Connection, ids: Sequence[int], reason: Reason) -> None:
        if ids:
            made = await connection.execute(_MAKE_DUE, parameters(self._workspace_id, ids, reason))
            claims = [(row[0], row[1]) for row in await made.fetchall()]
            await connection.execute(_RING, {"channel": DUE_CHANNEL, "payload": due_payload(claims)})
            failpoints.hit("asked")

    async def _fetch(self, statement: LiteralString, query: dict[str, Any]) -> list[tuple[Any, ...]]:
        return await self._database.fetch(statement, self._bound(query))

    def _bound(self, query: dict[str, Any]) -> dict[str, Any]:
        return {**query, "workspace": self._workspace_id}


def _shape(filters: Filters, end: datetime | None) -> statements.Shape:
    return statements.Shape(
        post=filters.post_id is not None,
        account=filters.account_id is not None,
        platform=filters.platform is not None,
        start=filters.created.start is not None,
        end=end is not None,
    )


def _bind(filters: Filters) -> dict[str, Any]:
    pieces = take_apart(filters.created, days=filters.account_id is None)
    return {
        "post": filters.post_id,
        "account": filters.account_id,
        "platform": filters.platform,
        "start": filters.created.start,
        **pieces.parameters(),
    }
