"""The database: engine, time limits, migrations."""

from datetime import timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import InternalError, OperationalError

from shared.settings import SettingsError

CONNECT_TIMEOUT_SECONDS = 5

DATABASE_AWAY: Final = (OperationalError, InternalError)
"""What a lost connection raises; the second when the server ended a transaction that slept in it."""

# https://www.postgresql.org/docs/18/libpq-connect.html#LIBPQ-KEEPALIVES
_VANISHED_HOST = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,  # milliseconds
}
"""A server whose machine or network is gone says nothing: it is given up within half a minute."""


def connect(
    url: str,
    *,
    application: str,
    pool_size: int = 5,
    statement_seconds: float = 30,
    idle: timedelta = timedelta(minutes=1),
) -> Engine:
    """Return an engine whose sessions are in UTC and bounded in time.

    ``idle``: how long a transaction may do nothing. One that sleeps ruins a queue table faster than volume
    does, and its locks keep rows from everybody else.
    """
    options = (
        f"-c timezone=UTC -c statement_timeout={int(statement_seconds * 1000)}"
        f" -c idle_in_transaction_session_timeout={idle // timedelta(milliseconds=1)} -c lock_timeout=20000"
    )
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_pre_ping=True,
        pool_timeout=10,
        hide_parameters=True,
        connect_args={
            "options": options,
            "application_name": application,
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            **_VANISHED_HOST,
        },
    )


def check_reachable(engine: Engine) -> None:
    """Raise `SettingsError` with one sentence when the database does not answer."""
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT 1")
    except OperationalError:
        where = make_url(str(engine.url)).host
        raise SettingsError(f"PostgreSQL at {where} does not answer: check DRAVO_DATABASE_URL") from None


def migrate(url: str, revision: str = "head") -> None:
    """Bring the schema up to a revision. Safe to run twice, and by two at once (an advisory lock)."""
    from alembic import command  # here: it takes a third of a second that no other command needs
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["url"] = url
    command.upgrade(config, revision)
