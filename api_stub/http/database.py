"""The API's connection pool: bounded in number and in time; a database that cannot answer becomes a 503."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any, Final, LiteralString

import psycopg
import structlog
from psycopg import AsyncConnection
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests
from pydantic_core import from_json
from sqlalchemy import text
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import make_url

from api_stub.http.errors import ApiError, unavailable
from shared.database import ASSUME_ROLE, CONNECT_TIMEOUT_SECONDS, PSYCOPG_AWAY, VANISHED_HOST

POOL_SIZE: Final = 8
MAX_WAITING: Final = 2_000
WAIT_SECONDS: Final = 5.0
STATEMENT_SECONDS: Final = 5.0
_LOCK_SECONDS: Final = 2.0
_ANSWER_SECONDS: Final = STATEMENT_SECONDS + 1
"""How long a statement waits for a server that is expected to cancel it after `STATEMENT_SECONDS`."""
_PREPARED: Final = 200

ROLE: Final = "dravo_api"
"""What these connections may do: read what is served, and mark rows due."""
_NO_SCHEMA: Final = (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn)

Connection = AsyncConnection[tuple[Any, ...]]
_log = structlog.get_logger(__name__)


def pyformat(statement: str) -> bytes:
    """Return a statement with SQLAlchemy's parameters (``:name``) in the style of psycopg (``%(name)s``)."""
    dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]  # SQLAlchemy annotates no dialect
    return str(text(statement).compile(dialect=dialect)).encode()


def conninfo(url: str) -> str:
    """Return an SQLAlchemy URL as libpq reads it. It may hold a password: not for logs."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


@contextmanager
def shut_down_after(connection: Connection, seconds: float) -> Iterator[None]:
    """End a connection whose statement has no answer after so long: the statement raises `OperationalError`.

    A cancellation would wait for the server, which may be frozen or gone.
    """
    handle = asyncio.get_running_loop().call_later(seconds, _shut_down, connection)
    try:
        yield
    finally:
        handle.cancel()


def _shut_down(connection: Connection) -> None:
    with socket.socket(fileno=os.dup(connection.fileno())) as end:
        end.shutdown(socket.SHUT_RDWR)


class Database:
    """A bounded pool of autocommit connections; whatever keeps it from answering becomes a 503."""

    def __init__(self, url: str, *, idle: timedelta, wait_seconds: float = WAIT_SECONDS) -> None:
        """``idle``: how long a transaction may be idle before PostgreSQL ends it and releases its locks.

        ``wait_seconds``: how long a request waits for a connection.
        """
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            conninfo(url),
            min_size=1,
            max_size=POOL_SIZE,
            open=False,
            timeout=wait_seconds,
            max_waiting=MAX_WAITING,
            # After that, the pool connects again at the next request, instead of ever more rarely.
            reconnect_timeout=CONNECT_TIMEOUT_SECONDS,
            configure=self._configure,
            kwargs={
                "autocommit": True,
                "application_name": "dravo-api",
                "connect_timeout": CONNECT_TIMEOUT_SECONDS,
                **VANISHED_HOST,
                "options": (
                    f"-c timezone=UTC -c statement_timeout={STATEMENT_SECONDS * 1000:.0f}"
                    f" -c lock_timeout={_LOCK_SECONDS * 1000:.0f}"
                    # Each set of filters has its own statement: one generic plan fits, and is made once.
                    " -c plan_cache_mode=force_generic_plan -c jit=off"
                    f" -c idle_in_transaction_session_timeout={idle // timedelta(milliseconds=1)}"
                ),
            },
        )

    async def open(self) -> None:
        """Start connecting in the background; the first query reports whether that succeeded."""
        await self._pool.open()

    async def close(self) -> None:
        """Close every connection, waiting for those in use."""
        await self._pool.close(timeout=5)

    def waiting(self) -> int:
        """Return how many requests wait for a connection."""
        return int(self._pool.get_stats().get("requests_waiting", 0))

    async def fetch(
        self, statement: LiteralString, parameters: Mapping[str, Any] | None = None
    ) -> list[tuple[Any, ...]]:
        """Run one statement in autocommit mode and return its rows. Raises `ApiError` (503)."""
        try:
            return await self._fetch(statement, parameters)
        except PSYCOPG_AWAY as error:
            if not _connection_lost(error):
                raise _as_api_error(error) from error
        except _NO_SCHEMA as error:
            raise _as_api_error(error) from error
        # The server was restarted, or closed this connection: the pool replaces the ones that are closed.
        await self.check()
        try:
            return await self._fetch(statement, parameters)
        except psycopg.Error as error:
            raise _as_api_error(error) from error

    async def fetch_once(
        self, statement: LiteralString, parameters: Mapping[str, Any] | None = None
    ) -> list[tuple[Any, ...]]:
        """Run one statement as `fetch` does, once, and for a limited time also on a frozen server.

        Raises `ApiError` (503).
        """
        try:
            async with self.connection() as connection:
                with shut_down_after(connection, _ANSWER_SECONDS):
                    cursor = await connection.execute(statement, parameters, prepare=True, binary=True)
                    return await cursor.fetchall()
        except (*PSYCOPG_AWAY, *_NO_SCHEMA) as error:
            raise _as_api_error(error) from error

    async def check(self) -> None:
        """Replace the connections that are lost."""
        await self._pool.check()

    async def _fetch(
        self, statement: LiteralString, parameters: Mapping[str, Any] | None
    ) -> list[tuple[Any, ...]]:
        async with self.connection() as connection:
            cursor = await connection.execute(statement, parameters, prepare=True, binary=True)
            return await cursor.fetchall()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Borrow a connection. Raises `ApiError` (503) when none is free in time."""
        try:
            connection = await self._pool.getconn()
        except (PoolTimeout, TooManyRequests, PoolClosed) as error:
            raise unavailable(
                "overloaded", "The service is overloaded or its database does not answer."
            ) from error
        try:
            yield connection
        finally:
            await self._pool.putconn(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Borrow a connection inside a transaction. Raises `ApiError` (503)."""
        async with self.connection() as connection:
            try:
                async with connection.transaction():
                    yield connection
            except (*PSYCOPG_AWAY, *_NO_SCHEMA) as error:
                raise _as_api_error(error) from error

    async def _configure(self, connection: Connection) -> None:
        connection.prepared_max = _PREPARED
        set_json_loads(from_json, connection)  # five times faster than `json.loads`
        await connection.execute(ASSUME_ROLE, {"role": ROLE})


def _connection_lost(error: psycopg.Error) -> bool:
    """Return whether the connection itself is lost, rather than one statement refused."""
    return error.sqlstate is None or error.sqlstate.startswith(("57P", "08"))


def _as_api_error(error: psycopg.Error) -> ApiError:
    _log.warning("database_error", error=type(error).__name__, sqlstate=error.sqlstate)
    if isinstance(error, _NO_SCHEMA):
        return unavailable("schema_missing", "The database lacks this version's schema.", retry_after=10)
    if isinstance(error, psycopg.errors.QueryCanceled | psycopg.errors.LockNotAvailable):
        return unavailable("timeout", "The database took too long to answer.")
    if isinstance(error, psycopg.errors.SerializationFailure | psycopg.errors.DeadlockDetected):
        # On a standby: what the statement reads is about to be removed by replaying.
        return unavailable("conflict", "The statement was in conflict with another.")
    return unavailable("database_unavailable", "The database does not answer.", retry_after=2)
