"""Statements of the hot path, which run on psycopg's own connection.

SQLAlchemy's execution of a small statement takes more CPU time than psycopg's. A refresh runs these on the
connection of its SQLAlchemy transaction, which stays what begins, commits and returns it.
"""

from collections.abc import Mapping
from typing import Any, Final

import psycopg
from psycopg.rows import namedtuple_row
from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql import psycopg as driver
from sqlalchemy.exc import DBAPIError

_DIALECT: Final = driver.dialect()  # type: ignore[no-untyped-call] # SQLAlchemy's dialects are untyped


class Statement:
    """SQL with parameters written ``:name``, like that of `sqlalchemy.text`."""

    def __init__(self, sql: str) -> None:
        self.sql: Final = sql
        """Its text."""
        self._query = str(text(sql).compile(dialect=_DIALECT)).encode()

    def all(self, connection: Connection, parameters: Mapping[str, Any]) -> list[Any]:
        """Run it in the connection's transaction and return its rows; errors are SQLAlchemy's."""
        return self._run(connection, parameters).fetchall()

    def run(self, connection: Connection, parameters: Mapping[str, Any]) -> None:
        """Run it likewise; it returns no rows."""
        self._run(connection, parameters)

    def _run(self, connection: Connection, parameters: Mapping[str, Any]) -> "psycopg.Cursor[Any]":
        own: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment] # the engine's driver
        try:
            return own.cursor(row_factory=namedtuple_row).execute(self._query, parameters)
        except psycopg.Error as error:
            if own.closed:
                connection.invalidate(error)
            raise DBAPIError.instance(
                None, None, error, psycopg.Error, hide_parameters=True, connection_invalidated=own.closed
            ) from error
