"""Accounts and rows for the benchmark of claims, in a database of their own.

Triggers and foreign keys are off while rows are loaded (a claim reads no publication); the timers are then
those that the triggers would have inserted.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection, Engine, text

from deploy.local.servers.postgres import Postgres
from shared import database

_ACCOUNTS: Final = text("""
INSERT INTO accounts (account_id, workspace_id, platform, platform_account_id)
SELECT 'acc_' || n, 'ws_' || n % CAST(:workspaces AS int),
       (ARRAY['x', 'tiktok', 'instagram', 'facebook', 'linkedin'])[n % CAST(:platforms AS int) + 1], n
  FROM generate_series(0, CAST(:accounts AS int) - 1) n
""")
_ROWS: Final = text("""
INSERT INTO refresh_state (publication_id, account_id, next_run_at, reason)
SELECT r * CAST(:accounts AS bigint) + n, 'acc_' || n,
       now() + interval '1 hour' + random() * interval '1 day', 'stale'
  FROM generate_series(0, CAST(:rows AS int) - 1) r, generate_series(0, CAST(:accounts AS bigint) - 1) n
""")
_TIMERS: Final = text("""
INSERT INTO account_timers (account_id, lane, due_at, rows_from)
SELECT account_id, 0, min(next_run_at), min(next_run_at) FROM refresh_state GROUP BY account_id
""")
MAKE_DUE: Final = text("""
UPDATE refresh_state SET next_run_at = now(), reason = 'stale', claimed_at = NULL
 WHERE account_id IN (SELECT 'acc_' || n FROM generate_series(0, CAST(:accounts AS int) - 1,
                                                              CAST(:step AS int)) n)
""")
FINISH: Final = text("""
UPDATE refresh_state SET next_run_at = now() + CAST(:after AS interval), reason = 'stale', claimed_at = NULL
 WHERE claimed_at IS NOT NULL
""")


@contextmanager
def bench_database(server: Postgres, name: str) -> Iterator[Engine]:
    """Create a migrated database and open it as the scheduler does."""
    admin = database.connect(server.url, application="bench")
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    admin.dispose()
    url = server.url_of(name)
    database.migrate(url)
    engine = database.connect(url, application="bench", pool_size=4, statement_seconds=600)
    try:
        yield engine
    finally:
        engine.dispose()


def load(connection: Connection, accounts: int, *, rows: int, workspaces: int, platforms: int = 5) -> None:
    """Store so many accounts with ``rows`` each, none of which is due."""
    bound = {"accounts": accounts, "rows": rows, "workspaces": workspaces, "platforms": platforms}
    connection.execute(text("SET LOCAL session_replication_role = replica"))
    for statement in (_ACCOUNTS, _ROWS, _TIMERS):
        connection.execute(statement, bound)


def maintain(engine: Engine, statement: str) -> None:
    """Run VACUUM or ANALYZE."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(statement))
