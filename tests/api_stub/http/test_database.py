"""A database that answers and refuses: after a failover, the server may still be a standby."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import errors
from sqlalchemy.engine import make_url

from api_stub.http import database
from api_stub.http.database import Database
from api_stub.http.errors import ApiError
from tests.api_stub import support

READ_ONLY = 'ALTER DATABASE "{}" SET default_transaction_read_only = on'
END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dravo-api'"


def test_database_that_takes_no_writes_still_serves_pages(database_url: str) -> None:
    with support.api(database_url) as api:
        api.rows.publication(analytics={"stale_after": datetime.now(UTC) - timedelta(hours=1)})
        api.rows.execute(READ_ONLY.format(make_url(database_url).database))
        api.rows.execute(END_SESSIONS)

        page, forced = api.get(), api.get(params={"refresh": "true"})
        api.run(api.service.read_counter.save())
        api.run(api.service.keys.save_last_used())

    assert (page.status_code, len(page.json()["items"])) == (200, 1)
    assert (forced.status_code, forced.json()["error"]["code"]) == (503, "database_unavailable")


SETTINGS = """
SELECT current_setting('statement_timeout'), current_setting('lock_timeout'), current_setting('timezone'),
       current_setting('idle_in_transaction_session_timeout'), current_user
"""


def test_statements_and_waits_of_a_session_are_bounded(database_url: str) -> None:
    with psycopg.connect(database.conninfo(database_url), autocommit=True) as operator:
        name = make_url(database_url).database
        operator.execute(f"ALTER DATABASE \"{name}\" SET timezone = 'Asia/Tokyo'".encode())

    async def settings() -> tuple[str, ...]:
        opened = Database(database_url, idle=timedelta(seconds=7))
        await opened.open()
        try:
            return (await opened.fetch(SETTINGS))[0]
        finally:
            await opened.close()

    assert asyncio.run(settings()) == ("5s", "2s", "UTC", "7s", "dravo_api")


def test_statement_after_a_restart_of_the_server_takes_no_lost_connection(database_url: str) -> None:
    async def scenario() -> list[tuple[int]]:
        opened = Database(database_url, idle=timedelta(seconds=7))
        await opened.open()
        async with AsyncExitStack() as stack:
            connections = [await stack.enter_async_context(opened.connection()) for _ in range(4)]
        with psycopg.connect(database.conninfo(database_url), autocommit=True) as operator:
            for one in connections:
                operator.execute("SELECT pg_terminate_backend(%s, 30000)", [one.info.backend_pid])
        served = await opened.fetch("SELECT 1")
        await opened.close()
        return served

    assert asyncio.run(scenario()) == [(1,)]


def test_request_without_a_free_connection_is_refused_in_time(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "POOL_SIZE", 1)
    monkeypatch.setattr(database, "MAX_WAITING", 1)

    async def scenario() -> list[str]:
        opened = Database(database_url, idle=timedelta(seconds=7), wait_seconds=0.2)
        await opened.open()

        async def fetch() -> str:
            try:
                await opened.fetch("SELECT 1")
            except ApiError as error:
                return error.code
            return "served"

        async with opened.connection():
            waiting = [asyncio.create_task(fetch()) for _ in range(3)]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            assert [one.done() for one in waiting] == [False, True, True], "the others do not wait at all"
            await asyncio.wait(waiting, timeout=30)
        refused = [one.result() for one in waiting]
        served = await fetch()
        await opened.close()
        return [*refused, served, await fetch()]

    assert asyncio.run(scenario()) == ["overloaded"] * 3 + ["served", "overloaded"]


@pytest.mark.parametrize(
    ("error", "lost", "code"),
    [
        (psycopg.OperationalError(), True, "database_unavailable"),
        (errors.AdminShutdown(), True, "database_unavailable"),
        (errors.ConnectionFailure(), True, "database_unavailable"),
        (errors.ReadOnlySqlTransaction(), False, "database_unavailable"),
        (errors.QueryCanceled(), False, "timeout"),
        (errors.LockNotAvailable(), False, "timeout"),
        (errors.SerializationFailure(), False, "conflict"),
        (errors.DeadlockDetected(), False, "conflict"),
        (errors.UndefinedTable(), False, "schema_missing"),
        (errors.UndefinedColumn(), False, "schema_missing"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_error_of_the_database_becomes_a_503_that_says_what_it_means(
    error: psycopg.Error, *, lost: bool, code: str
) -> None:
    answer = database._as_api_error(error)

    assert (answer.status, answer.code) == (503, code)
    assert database._connection_lost(error) is lost
