"""The database: engine, time limits, migrations."""

from datetime import timedelta
from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg
import structlog
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import InternalError, OperationalError

from shared.changes.maintenance import renumber
from shared.driver.idle import check_before_use
from shared.driver.lists import use_fast_lists
from shared.settings import SettingsError

CONNECT_TIMEOUT_SECONDS = 5

DATABASE_AWAY: Final = (OperationalError, InternalError)
"""Errors of a lost connection; the second one when the server ended an idle transaction, or is a standby."""

PSYCOPG_AWAY: Final = (psycopg.OperationalError, psycopg.InternalError)
"""The same as psycopg itself raises them. A standby, which a failover may leave for a while behind the
address of the primary, refuses to write and to listen."""

ASSUME_ROLE: Final[LiteralString] = """
SELECT set_config('role', rolname, FALSE) FROM pg_roles
 WHERE rolname = %(role)s AND pg_has_role(rolname, 'MEMBER')
   AND has_table_privilege(rolname, to_regclass('refresh_state'), 'SELECT')
"""
# Roles belong to the whole cluster: a role is assumed only where a migration has granted its rights.

_log = structlog.get_logger(__name__)

# https://www.postgresql.org/docs/18/libpq-connect.html#LIBPQ-KEEPALIVES
VANISHED_HOST: Final = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,  # milliseconds
}
"""A server whose machine or network is gone does not answer: the connection fails within half a minute."""


def connect(
    url: str,
    *,
    application: str,
    pool_size: int = 5,
    statement_seconds: float = 30,
    idle: timedelta = timedelta(minutes=1),
    role: str | None = None,
) -> Engine:
    """Return an engine whose sessions are in UTC, bounded in time, and in the role of their service.

    ``role``: sessions have the rights of this role. Where the database has no such role for this user, they
    keep the rights of the user who logs in; `warn_without_role` warns of it.

    ``idle``: how long a transaction may be idle. An idle transaction prevents vacuuming of the queue tables
    and keeps its locks.
    """
    options = (
        f"-c timezone=UTC -c statement_timeout={int(statement_seconds * 1000)}"
        f" -c idle_in_transaction_session_timeout={idle // timedelta(milliseconds=1)} -c lock_timeout=20000"
    )
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=10,
        hide_parameters=True,
        use_native_hstore=False,  # no table has one, and SQLAlchemy would ask for the type at every start
        connect_args={
            "options": options,
            "application_name": application,
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            **VANISHED_HOST,
        },
    )
    check_before_use(engine)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        use_fast_lists(connection)
        if role is not None:
            connection.execute(ASSUME_ROLE, {"role": role})
            connection.commit()

    return engine


def warn_without_role(engine: Engine, role: str) -> None:
    """Log a warning when sessions of this engine have other rights than the role's."""
    with engine.connect() as connection:
        current = connection.execute(text("SELECT current_user")).scalar_one()
    if current != role:
        _log.warning(
            "database_role_missing",
            role=role,
            detail="this service keeps every right of its database user: run `dravo migrate` as a user with"
            " CREATEROLE",
        )


def check_reachable(engine: Engine) -> None:
    """Raise `SettingsError` with one sentence when the database does not answer.

    Logs a warning when a pooler shares its connections among sessions. The engine's pool must hold two.
    """
    try:
        with engine.connect() as first, engine.connect() as second:
            shared = _share_servers(first, second)
    except OperationalError as error:
        where = make_url(str(engine.url)).host
        if "unsupported startup parameter" in str(error.orig):  # the words of PgBouncer
            raise SettingsError(
                f"PostgreSQL at {where} refuses the settings of a session: a pooler stands before it;"
                " let DRAVO_DATABASE_URL lead to the server itself"
            ) from None
        raise SettingsError(f"PostgreSQL at {where} does not answer: check DRAVO_DATABASE_URL") from None
    if shared:
        _log.warning(
            "database_sessions_shared",
            detail="DRAVO_DATABASE_URL leads through a pooler in transaction mode: notifications, timeouts,"
            " the service's role and advisory locks are lost; name the server or a pooler in session mode",
        )


def _share_servers(first: Connection, second: Connection) -> bool:
    """Return whether two open connections change their server processes from transaction to transaction.

    Without a pooler, and behind one in session mode, each keeps a process of its own.
    https://www.pgbouncer.org/features.html
    """
    processes: dict[Connection, set[int]] = {first: set(), second: set()}
    for connection in (first, second, second, first) * 3:
        processes[connection].add(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
        connection.rollback()
    return bool(processes[first] & processes[second]) or any(len(seen) > 1 for seen in processes.values())


def migrate(url: str, revision: str = "head") -> None:
    """Bring the schema up to a revision. Idempotent, and safe to run concurrently (an advisory lock).

    Afterwards, changes of a dump that came from another server are numbered anew.
    """
    from alembic import command  # imported here: it takes a third of a second, which other commands save
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["url"] = url
    command.upgrade(config, revision)
    if revision == "head":
        _renumber_changes(url)


def _renumber_changes(url: str) -> None:
    engine = connect(url, application="dravo-migrate", pool_size=1)
    try:
        more = True
        while more:
            with engine.begin() as connection:
                more = renumber(connection)
    finally:
        engine.dispose()
