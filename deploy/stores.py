"""The database connection of one command."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from shared.database import connect
from shared.settings import Settings, load

APPLICATION = "dravo"


@contextmanager
def engine(settings: Settings | None = None, *, statement_seconds: float = 120) -> Iterator[Engine]:
    """Open the database that ``DRAVO_DATABASE_URL`` names, for as long as the block runs."""
    settings = settings or load("database_url")
    opened = connect(
        settings.database, application=APPLICATION, pool_size=2, statement_seconds=statement_seconds
    )
    try:
        yield opened
    finally:
        opened.dispose()


@contextmanager
def transaction(settings: Settings | None = None) -> Iterator[Connection]:
    """Open one transaction for a whole command; it commits when the block ends well."""
    with engine(settings) as opened, opened.begin() as connection:
        yield connection
