"""COPY of many rows over psycopg's own connection, inside the transaction of SQLAlchemy's."""

from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError


def copy_rows(
    connection: Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Append rows to a table (``schema.name``); errors are SQLAlchemy's.

    https://www.postgresql.org/docs/18/sql-copy.html
    """
    own: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment] # the engine's driver
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(*table.split(".")), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    try:
        with own.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except psycopg.Error as error:
        if own.closed:
            connection.invalidate(error)
        raise DBAPIError.instance(
            None, None, error, psycopg.Error, hide_parameters=True, connection_invalidated=own.closed
        ) from error
