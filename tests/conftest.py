"""Fixtures for every test: a clean environment, and real servers for tests that request them.

`database_url`        a new database with the project's schema, dropped after the test
`empty_database_url`  the same without the schema
`redis_url`           an empty logical database of a real Valkey (FLUSHALL reaches only this worker's tests)
`client`              a Redis client of that database
`harness`             a new database with what a worker needs and a scripted adapter (`tests.harness.Harness`)

Each pytest-xdist worker starts its own servers once, for the first test that needs them. A test that stops,
kills or fills a server starts its own: `Postgres` and `Valkey` of `deploy.local` in `server_directory()`.

The fixtures import the product when they run: broken code fails its tests, not the whole collection.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import count
from typing import TYPE_CHECKING
from zlib import crc32

import pytest
import redis
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from deploy.local.servers.postgres import Postgres
from deploy.local.servers.valkey import Valkey
from tests.servers import (
    FASTER,
    MIGRATED,
    REDIS_DATABASES,
    Databases,
    copy_cluster,
    fast_parent,
    run_directory,
    server_directory,
)

if TYPE_CHECKING:
    from shared.redis_client import RedisClient
    from tests.harness import Harness

_MOST_PROCESSES = 8
_FLEETS = {
    "tests/api_stub/http/test_malicious_requests.py": 1,
    "tests/contract/": 1,
    "tests/faults/test_matrix.py": 2,
    "tests/faults/test_shutdown.py": 1,
}
"""Tests that share running services, which are slow to start, and how many processes may start them."""
_numbers = count()


def pytest_configure(config: pytest.Config) -> None:
    """Share a directory among the processes of this run: they inherit its path."""
    shared = ExitStack()
    shared.enter_context(run_directory())
    config.add_cleanup(shared.close)


def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes ``-n auto`` starts: two per core, because tests wait half of their time."""
    return min(2 * len(os.sched_getaffinity(0)), _MOST_PROCESSES)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Run the tests of a fleet in one process, the largest fleets first."""
    return _ByFleet(config, log)


class _ByFleet(LoadScopeScheduling):  # type: ignore[misc]  # the same
    """Distributes tests one by one, except that those which share a fleet run in one process."""

    def _split_scope(self, nodeid: str) -> str:
        for path, groups in _FLEETS.items():
            if nodeid.startswith(path):
                return f"{path} {crc32(nodeid.encode()) % groups}"
        return nodeid


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide settings, proxies and libpq variables that the tests would inherit."""
    for name in os.environ:
        if name.startswith(("DRAVO_", "PG")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """Run this worker's PostgreSQL; tests that share it must not stop it."""
    with server_directory(fast_parent()) as directory:
        copy_cluster(directory / "postgres")
        with Postgres(directory / "postgres", FASTER) as server:
            yield server


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[Valkey]:
    """Run this worker's Valkey; tests that share it must not stop it."""
    with (
        server_directory() as directory,
        Valkey(directory / "valkey", [f"databases {REDIS_DATABASES + 1}", "appendonly no"]) as server,
    ):
        yield server


@pytest.fixture(scope="session")
def databases(postgres_server: Postgres) -> Iterator[Databases]:
    """Give the means to create databases on this worker's server."""
    with closing(Databases(postgres_server)) as made:
        yield made


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """Give the SQLAlchemy URL of a new database with the project's schema."""
    with databases.fresh(f"test_{next(_numbers)}", MIGRATED) as url:
        yield url


@pytest.fixture
def empty_database_url(databases: Databases) -> Iterator[str]:
    """Give the SQLAlchemy URL of a new database without any table."""
    with databases.fresh(f"test_{next(_numbers)}") as url:
        yield url


@pytest.fixture
def redis_url(valkey_server: Valkey) -> str:
    """Give the URL of an empty logical database; the test before had another one."""
    url = valkey_server.url_of(next(_numbers) % REDIS_DATABASES)
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture
def client(redis_url: str) -> Iterator["RedisClient"]:
    """Give a client of an empty logical database."""
    from shared.redis_client import connect

    with closing(connect(redis_url)) as connected:
        yield connected


@pytest.fixture
def harness(database_url: str) -> Iterator["Harness"]:
    """Give a harness with default settings; `tests.harness.open_harness` takes others."""
    from tests.harness import open_harness

    with open_harness(database_url) as opened:
        yield opened
