"""Counts and searches that may take long on a huge fleet: bounded in time, with an estimate instead."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

from psycopg.errors import QueryCanceled
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

T = TypeVar("T")
SECONDS: Final = 2.0
"""How long one query may take."""


class Count(NamedTuple):
    """A number of rows."""

    rows: int
    estimated: bool
    """Whether it is the planner's estimate, because counting takes too long."""


def count(connection: Connection, source: str, bound: Mapping[str, Any]) -> Count:
    """Count the rows of ``FROM … WHERE …``, or estimate them when that takes longer than `SECONDS`."""
    counted = within(connection, lambda: _scalar(connection, f"SELECT count(*) {source}", bound))
    if counted is not None:
        return Count(int(counted), estimated=False)
    plan = _scalar(connection, f"EXPLAIN (FORMAT JSON) SELECT 1 {source}", bound)
    return Count(int(plan[0]["Plan"]["Plan Rows"]), estimated=True)


def within(connection: Connection, query: Callable[[], T]) -> T | None:
    """Return what a query returns; ``None`` when it takes longer than `SECONDS`.

    The connection is in a transaction, which goes on either way.
    """
    former = _scalar(connection, "SELECT current_setting('statement_timeout')", {})
    try:
        with connection.begin_nested():
            _set_timeout(connection, f"{int(SECONDS * 1000)}ms")
            result = query()
            _set_timeout(connection, former)
            return result
    except OperationalError as error:
        if isinstance(error.orig, QueryCanceled):
            return None
        raise


def _set_timeout(connection: Connection, value: str) -> None:
    connection.execute(text("SELECT set_config('statement_timeout', :value, TRUE)"), {"value": value})


def _scalar(connection: Connection, statement: str, bound: Mapping[str, Any]) -> Any:
    return connection.execute(text(statement), bound).scalar_one()
