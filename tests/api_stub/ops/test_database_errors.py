"""The page while its database refuses or does not answer: a 503 that says what to do."""

import asyncio
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tests.api_stub.ops.conftest import Ops


class RefusedError(Exception):
    """What the driver raises."""

    def __init__(self, sqlstate: str) -> None:
        self.sqlstate = sqlstate


def test_error_of_the_database_is_a_503_that_says_what_to_do(
    ops: Ops, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = "SELECT current_setting('statement_timeout')"
    read = ops.context.read(lambda connection: connection.exec_driver_sql(limit).scalar_one())
    assert ops.runner.run(read) == "5s"
    refusals: list[tuple[Exception, str]] = [
        (DBAPIError("SELECT", {}, RefusedError("57014")), "Add a filter"),
        (DBAPIError("SELECT", {}, RefusedError("42P01")), "dravo migrate"),
        (DBAPIError("SELECT", {}, RefusedError("42703")), "dravo migrate"),
        (DBAPIError("SELECT", {}, RefusedError("08006")), "PostgreSQL does not answer"),
        (PoolTimeout(), "PostgreSQL does not answer"),
    ]
    for error, sentence in refusals:

        async def refuse(_: Any, error: Exception = error) -> None:
            await asyncio.sleep(0)
            raise error

        monkeypatch.setattr(ops.context, "read", refuse)
        answer = ops.get("/ops/workers")
        assert (answer.status_code, sentence in answer.text) == (503, True), sentence
