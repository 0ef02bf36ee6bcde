"""Fixtures for every test: a clean environment, and real servers where a test asks for them.

`database_url`        a new database with the project's schema, dropped after the test
`empty_database_url`  the same without the schema
`redis_url`           an empty logical database of a real Valkey (FLUSHALL reaches only this worker's tests)

Each pytest-xdist worker starts its own servers, once, at the first test that asks. A test that stops, kills
or fills a server starts one for itself: `Postgres` and `Valkey` of `deploy.local` in `server_directory()`.
"""

import os
from collections.abc import Iterator
from itertools import count

import pytest
import redis

from deploy.local.postgres import Postgres
from deploy.local.valkey import Valkey
from tests.servers import FASTER, fast_parent, fresh_database, server_directory

_REDIS_DATABASES = 16
_numbers = count()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the settings, proxies and libpq variables of whoever runs the tests."""
    for name in os.environ:
        if name.startswith(("DRAVO_", "PG")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """Run this worker's PostgreSQL; tests that share it must not stop it."""
    with server_directory(fast_parent()) as directory, Postgres(directory / "postgres", FASTER) as server:
        yield server


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[Valkey]:
    """Run this worker's Valkey; tests that share it must not stop it."""
    with (
        server_directory() as directory,
        Valkey(directory / "valkey", [f"databases {_REDIS_DATABASES}", "appendonly no"]) as server,
    ):
        yield server


@pytest.fixture(scope="session")
def migrated_template(postgres_server: Postgres) -> Iterator[str]:
    """Name a database that the project's migrations were run on, once; tests get copies of it."""
    from shared.database import migrate  # here: a broken migration fails its tests, not the whole collection

    name = "migrated"
    with fresh_database(postgres_server, name) as url:
        migrate(url)
        yield name


@pytest.fixture
def database_url(postgres_server: Postgres, migrated_template: str) -> Iterator[str]:
    """Give the SQLAlchemy URL of a new database with the project's schema."""
    with fresh_database(postgres_server, f"test_{next(_numbers)}", migrated_template) as url:
        yield url


@pytest.fixture
def empty_database_url(postgres_server: Postgres) -> Iterator[str]:
    """Give the SQLAlchemy URL of a new database without any table."""
    with fresh_database(postgres_server, f"test_{next(_numbers)}") as url:
        yield url


@pytest.fixture
def redis_url(valkey_server: Valkey) -> str:
    """Give the URL of an empty logical database, another one than the test before had."""
    url = valkey_server.url_of(next(_numbers) % _REDIS_DATABASES)
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url
