"""A primary with a streaming replica for all tests of this folder."""

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from deploy.local.servers.postgres import Postgres
from tests.api_stub.replica.fleet import COMMITTED, Fleet, Pair, fleet_on
from tests.faults.harness.another_server import copy_to_standby
from tests.servers import FASTER, Databases, copy_cluster, fast_parent, server_directory


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """Run a primary and a streaming replica of it, made with pg_basebackup."""
    with server_directory(fast_parent()) as directory:
        copy_cluster(directory / "primary")
        with Postgres(directory / "primary", COMMITTED) as primary:
            copy_to_standby(primary, directory / "replica")
            # The standby replays CREATE DATABASE by copying files: its restart points are not worth a wait.
            with Postgres(directory / "replica", FASTER) as replica, closing(Databases(primary)) as databases:
                yield Pair(primary, replica, databases)


@pytest.fixture
def fleet(pair: Pair) -> Iterator[Fleet]:
    """Give an API process that reads a replica which has replayed everything."""
    with fleet_on(pair) as opened:
        yield opened
        try:
            opened.resume_replay()
        except psycopg.OperationalError:
            pair.replica.start()
