"""A primary with a streaming replica, and services that read from both."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import psycopg
from prometheus_client import REGISTRY
from pydantic import SecretStr

from deploy.local.servers.postgres import Postgres
from tests.api_stub import support
from tests.faults.harness.waiting import wait_until
from tests.servers import FASTER, MIGRATED, Databases, connect

HISTORY = "/v1/analytics/posts/post_1/history"
CHANGES = "/v1/analytics/changes"
COMMITTED = FASTER | {"synchronous_commit": "on"}
"""What is committed is sent to the replica at once."""
_numbers = count()


@dataclass
class Pair:
    """A primary and its replica."""

    primary: Postgres
    replica: Postgres
    databases: Databases


@dataclass
class Fleet:
    """An API process with a replica, and the means to control the replica."""

    api: support.Api
    pair: Pair
    url: str
    replica_url: str

    def pause_replay(self) -> None:
        """Keep the replica as it is."""
        self.replica("SELECT pg_wal_replay_pause()")

    def resume_replay(self) -> None:
        """Let the replica replay."""
        self.replica("SELECT pg_wal_replay_resume()")

    def replica(self, statement: str) -> Any:
        """Return the rows of a statement on the replica."""
        with connect(self.replica_url) as connection:
            return connection.execute(statement).fetchall()

    def catch_up(self) -> None:
        """Wait until the replica has replayed what the primary has written."""
        with connect(self.url) as connection:
            position = connection.execute("SELECT pg_current_wal_flush_lsn()").fetchall()[0][0]
        replayed = f"SELECT pg_last_wal_replay_lsn() >= '{position}'"
        wait_until(lambda: self.replica(replayed)[0][0], 30, "the replica replays")
        self.probe()

    def ready(self) -> Any:
        """Return what `/readyz` says of the replica."""
        return self.api.get("/readyz").json()["replica"]

    def probe(self) -> Any:
        """Ask both servers now; the process does it every second."""
        return probe(self.api)

    def views(self, **parameters: Any) -> list[int]:
        """Return the views of a page."""
        return [item["metrics"]["views"] for item in self.api.posts(**parameters)["items"]]

    def refreshed(self, publication: int, views: int) -> None:
        """Store what a worker's refresh stores."""
        self.api.rows.execute(
            "UPDATE post_analytics SET metrics = jsonb_build_object('views', CAST(:views AS int)),"
            " last_updated_at = now(), attempted_at = now() + interval '1 minute',"
            " stale_after = now() + interval '6 hours', outcome = 'synced' WHERE publication_id = :id",
            views=views,
            id=publication,
        )


def probe(api: support.Api) -> Any:
    """Ask both servers now; the process does it every second."""
    assert api.service.replica is not None
    return api.run(api.service.replica.monitor.probe())


@contextmanager
def fleet_on(pair: Pair, **settings: Any) -> Iterator[Fleet]:
    name = f"test_{next(_numbers)}"
    with pair.databases.fresh(name, MIGRATED) as url:
        replica_url = pair.replica.url_of(name)
        options = {"refresh_wait_seconds": 0, "refresh_min_age_seconds": 0, **settings}
        with support.api(url, read_database_url=SecretStr(replica_url), **options) as api:
            fleet = Fleet(api, pair, url, replica_url)
            wait_until(lambda: reaches(replica_url), 30, "the replica has the database")
            fleet.catch_up()
            yield fleet


def reaches(url: str) -> bool:
    try:
        connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def reads(result: str) -> float:
    return sample("dravo_api_replica_reads_total", result=result)


def served_by_replica(fleet: Fleet) -> bool:
    before = reads("served")
    fleet.probe()
    fleet.api.posts()
    return reads("served") > before
