"""Maintains the table ``changes``: adds rows that existed before it, deletes old ones, renumbers.

Each function does a bounded piece of the work in the caller's transaction, and may be called at any time by
any number of processes.
"""

from datetime import timedelta
from typing import Any, Final

from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, Row, text
from sqlalchemy.exc import OperationalError

ACCOUNTS_AT_ONCE: Final = 1_000
PUBLICATIONS_AT_ONCE: Final = 5_000

# A worker that changes two rows in two statements may hold the second one while this waits for it and holds
# the first one. Below deadlock_timeout, it is this transaction that gives up; the slice is tried again.
_YIELD_TO_OTHERS: Final = text("SET LOCAL lock_timeout = '200ms'")

_NEXT: Final = text("SELECT after_id, last_id FROM changes_backfill FOR UPDATE SKIP LOCKED")
_ACCOUNTS: Final = text("""
UPDATE accounts SET changed_in = pg_current_xact_id()
 WHERE account_id IN (SELECT account_id FROM accounts WHERE changed_in IS NULL
                       ORDER BY account_id LIMIT :rows FOR NO KEY UPDATE)
""")
_PUBLICATIONS: Final = text("""
WITH slice AS MATERIALIZED (
    SELECT id, workspace_id FROM publications WHERE id > :after_id AND id <= :last_id ORDER BY id LIMIT :rows
), filled AS (
    INSERT INTO changes (publication_id, workspace_id, changed_in, changed_at)
    SELECT id, workspace_id, pg_current_xact_id(), now() FROM slice ORDER BY id
        ON CONFLICT (publication_id) DO NOTHING
)
SELECT max(id) FROM slice
""")
_MOVE: Final = text("UPDATE changes_backfill SET after_id = :after_id")
_END: Final = text("DELETE FROM changes_backfill")

_PURGE: Final = text("""
DELETE FROM changes WHERE publication_id IN (
       SELECT publication_id FROM changes
        WHERE gone IS NOT NULL AND changed_at < now() - CAST(:keep AS interval) - interval '1 day'
        ORDER BY publication_id LIMIT :rows FOR UPDATE SKIP LOCKED)
""")

# One lookup in the index for each workspace, and no scan of the table.
_AHEAD: Final = """
WITH RECURSIVE workspaces AS (
    (SELECT workspace_id FROM {table} ORDER BY workspace_id LIMIT 1)
    UNION ALL
    SELECT (SELECT t.workspace_id FROM {table} t WHERE t.workspace_id > w.workspace_id
             ORDER BY t.workspace_id LIMIT 1)
      FROM workspaces w WHERE w.workspace_id IS NOT NULL
), ahead AS (
    SELECT t.{key} FROM workspaces w CROSS JOIN LATERAL (
           SELECT {key} FROM {table} WHERE workspace_id = w.workspace_id
              AND changed_in >= pg_snapshot_xmax(pg_current_snapshot()) LIMIT :rows) t
     LIMIT :rows
)
UPDATE {table} SET changed_in = pg_current_xact_id()
 WHERE {key} IN (SELECT {key} FROM {table} WHERE {key} IN (SELECT {key} FROM ahead)
                  ORDER BY {key} FOR NO KEY UPDATE)
"""
_RENUMBER: Final = (
    text(_AHEAD.format(table="accounts", key="account_id")),
    text(_AHEAD.format(table="changes", key="publication_id")),
    # Their cursors are of the other server: a sender starts them over, once something wakes it.
    text("""
    UPDATE webhook_endpoints
       SET changed_in = '0', next_run_at = CASE WHEN state = 'enabled' THEN now() END
     WHERE changed_in >= pg_snapshot_xmax(pg_current_snapshot())
    """),
)


def fill(connection: Connection) -> bool:
    """Fill in a slice of the rows that existed before the feed; return whether more wait.

    Publications that a trigger has written meanwhile keep their rows. When another transaction holds a row,
    nothing is filled in, and the next call tries again.
    """
    waiting = connection.execute(_NEXT).one_or_none()
    if waiting is None:
        return False
    try:
        with connection.begin_nested():
            return _fill_slice(connection, waiting)
    except OperationalError as error:
        if not isinstance(error.orig, LockNotAvailable):
            raise
        return True


def _fill_slice(connection: Connection, waiting: Row[Any]) -> bool:
    connection.execute(_YIELD_TO_OTHERS)
    if connection.execute(_ACCOUNTS, {"rows": ACCOUNTS_AT_ONCE}).rowcount:
        return True
    bound = {"after_id": waiting.after_id, "last_id": waiting.last_id, "rows": PUBLICATIONS_AT_ONCE}
    after_id = connection.execute(_PUBLICATIONS, bound).scalar_one()
    if after_id is None:
        connection.execute(_END)
        return False
    connection.execute(_MOVE, {"after_id": after_id})
    return True


def purge(connection: Connection, keep: timedelta) -> bool:
    """Delete rows of publications that were deleted that long ago and a day; return whether more wait."""
    purged = connection.execute(_PURGE, {"keep": keep, "rows": PUBLICATIONS_AT_ONCE}).rowcount
    return purged == PUBLICATIONS_AT_ONCE


def renumber(connection: Connection) -> bool:
    """Give changes that lie in the server's future a number of the present; return whether there were any.

    A dump holds the transaction numbers of the server that it comes from. Where those are ahead, the feed
    would not show its rows for a long time.
    """
    return any(
        connection.execute(statement, {"rows": PUBLICATIONS_AT_ONCE}).rowcount for statement in _RENUMBER
    )
