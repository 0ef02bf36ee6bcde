"""Statements of the hot paths, which run on psycopg's own connection.

SQLAlchemy's execution of a small statement takes more CPU time than psycopg's. A refresh and a delivery run
these on the connection of their SQLAlchemy transaction, which stays what begins, commits and returns it.
"""

from collections.abc import Mapping
from typing import Any, Final

import psycopg
from psycopg.rows import RowFactory, namedtuple_row, tuple_row
from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql import psycopg as driver
from sqlalchemy.exc import DBAPIError

_DIALECT: Final = driver.dialect()  # type: ignore[no-untyped-call] # SQLAlchemy's dialects are untyped


class Statement:
    """SQL with parameters written ``:name``, like that of `sqlalchemy.text`."""

    def __init__(self, sql: str, *, for_psycopg: bool = False) -> None:
        """``for_psycopg``: its parameters are written ``%(name)s`` already."""
        self.sql: Final = sql
        """Its text."""
        self._query = (sql if for_psycopg else str(text(sql).compile(dialect=_DIALECT))).encode()

    def all(self, connection: Connection, parameters: Mapping[str, Any]) -> list[Any]:
        """Run it in the connection's transaction and return its rows; errors are SQLAlchemy's."""
        return self._run(connection, parameters, namedtuple_row).fetchall()

    def tuples(self, connection: Connection, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Run it likewise and return plain rows, whose columns need no names."""
        return self._run(connection, parameters, tuple_row).fetchall()

    def run(self, connection: Connection, parameters: Mapping[str, Any]) -> None:
        """Run it likewise; it returns no rows."""
        self._run(connection, parameters, tuple_row)

    def _run(
        self, connection: Connection, parameters: Mapping[str, Any], rows: "RowFactory[Any]"
    ) -> "psycopg.Cursor[Any]":
        own: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment] # the engine's driver
        try:
            return own.cursor(row_factory=rows).execute(self._query, parameters)
        except psycopg.Error as error:
            if own.closed:
                connection.invalidate(error)
            raise DBAPIError.instance(
                None, None, error, psycopg.Error, hide_parameters=True, connection_invalidated=own.closed
            ) from error
