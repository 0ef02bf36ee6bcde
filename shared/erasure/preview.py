"""The dry run of an erasure: how many rows it would delete, by table. Nothing is written."""

from typing import Final

from sqlalchemy import Connection

from shared.bounded import Count, count
from shared.erasure.schema import ACCOUNT, PUBLICATION, WORKSPACE, Table, tables
from shared.erasure.subject import Subject, SubjectKind

_PUBLICATIONS: Final = "FROM publications p WHERE {where}"
_BY_PUBLICATION: Final = """
  FROM {table} WHERE publication_id IN (SELECT p.id FROM publications p WHERE {where})
"""
_BY_ACCOUNT: Final = """
  FROM {table} WHERE account_id IN (SELECT a.account_id FROM accounts a WHERE {where})
"""
_BY_WORKSPACE: Final = "FROM {table} WHERE workspace_id = :workspace_id"


def preview(connection: Connection, subject: Subject) -> dict[str, Count]:
    """Return the rows that a key column assigns to the subject, by table.

    Rows that name it otherwise (pauses, the audit log, keys in Redis) are few, and only the erasure finds
    them. What takes too long to count is estimated.
    """
    counts = {}
    for table in tables(connection):
        statement = _statement(table, subject)
        if statement is not None:
            counts[table.name] = count(connection, statement, subject.bound)
    return {name: counted for name, counted in counts.items() if counted.rows}


def _statement(table: Table, subject: Subject) -> str | None:
    if table.name == "publications":
        return _PUBLICATIONS.format(where=subject.where)
    if PUBLICATION in table.keys:
        return _BY_PUBLICATION.format(table=table.name, where=subject.where)
    if subject.kind is SubjectKind.WORKSPACE and WORKSPACE in table.keys:
        return _BY_WORKSPACE.format(table=table.name)
    if ACCOUNT in table.keys:
        return _BY_ACCOUNT.format(table=table.name, where=subject.account_where)
    return None
