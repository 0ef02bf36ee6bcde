"""Reads from a real streaming replica: what it serves, what reads the primary, and what its loss changes."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from api_stub.app import create
from api_stub.http import database
from api_stub.replica import monitor
from api_stub.service import Service
from deploy.local.servers.postgres import Postgres
from deploy.local.servers.unprivileged import server_user
from shared.settings import Settings
from tests.api_stub import support
from tests.faults.harness.waiting import wait_until
from tests.servers import FASTER, MIGRATED, Databases, connect, copy_cluster, fast_parent, server_directory

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


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """Run a primary and a streaming replica of it, made with pg_basebackup."""
    with server_directory(fast_parent()) as directory:
        copy_cluster(directory / "primary")
        with Postgres(directory / "primary", COMMITTED) as primary:
            copy_to_standby(primary, directory / "primary", directory / "replica")
            # The standby replays CREATE DATABASE by copying files: its restart points are not worth a wait.
            with Postgres(directory / "replica", FASTER) as replica, closing(Databases(primary)) as databases:
                yield Pair(primary, replica, databases)


def copy_to_standby(primary: Postgres, source: Path, target: Path) -> None:
    target.mkdir(mode=0o711)
    shutil.copy2(source / "password", target / "password")
    user = server_user(target)
    if user.uid is not None and user.gid is not None:
        os.chown(target, user.uid, user.gid)
    program = primary._program(user).with_name("pg_basebackup")
    url = make_url(primary.url).set(drivername="postgresql").render_as_string(hide_password=False)
    backup = [str(program), "-D", str(target / "cluster"), "-R", "-c", "fast", "-d", url]
    subprocess.run(
        backup, user=user.uid, group=user.gid, extra_groups=user.extra_groups, cwd=target, check=True
    )


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


@pytest.fixture
def fleet(pair: Pair) -> Iterator[Fleet]:
    """Give an API process that reads a replica which has replayed everything."""
    with fleet_on(pair) as opened:
        yield opened
        try:
            opened.resume_replay()
        except psycopg.OperationalError:
            pair.replica.start()


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def reads(result: str) -> float:
    return sample("dravo_api_replica_reads_total", result=result)


def served_by_replica(fleet: Fleet) -> bool:
    before = reads("served")
    fleet.probe()
    fleet.api.posts()
    return reads("served") > before


def test_pages_come_from_the_replica_and_those_after_a_forced_refresh_from_the_primary(fleet: Fleet) -> None:
    publication = fleet.api.rows.publication()
    fleet.catch_up()
    fleet.pause_replay()
    fleet.refreshed(publication, 2)

    assert fleet.views() == [1]
    assert fleet.views(refresh="true") == [2]
    assert fleet.views() == [2], "a client that has seen the new value sees it again"

    fleet.resume_replay()
    wait_until(lambda: served_by_replica(fleet), 30, "the replica serves the workspace again")
    assert fleet.views() == [2]


def test_forced_refresh_of_another_process_holds_here(fleet: Fleet) -> None:
    publication = fleet.api.rows.publication()
    key = fleet.api.client.headers
    fleet.catch_up()
    fleet.pause_replay()
    fleet.refreshed(publication, 2)
    assert fleet.views() == [1]
    settings = Settings(
        database_url=SecretStr(fleet.url),
        read_database_url=SecretStr(fleet.replica_url),
        refresh_wait_seconds=0,
    )

    with asyncio.Runner() as runner:
        other = Service(settings)
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(create(other)), base_url="http://api.test", headers=key
        )
        running = other.running()
        runner.run(running.__aenter__())
        runner.run(client.get(support.POSTS, params={"refresh": "true"}))
        runner.run(client.aclose())
        runner.run(running.__aexit__(None, None, None))

    wait_until(lambda: fleet.views() == [2], 30, "the other process's note arrives")


def test_history_comes_from_the_replica(fleet: Fleet) -> None:
    fleet.api.rows.publication()
    fleet.catch_up()
    fleet.pause_replay()
    fleet.api.rows.execute("UPDATE publications SET platform_post_id = 'renamed'")

    publication = fleet.api.get(HISTORY).json()["publications"][0]

    assert publication["platform_post_id"] != "renamed"


def test_row_that_only_the_replica_shows_as_stale_is_not_made_due_again(fleet: Fleet) -> None:
    publication = fleet.api.rows.publication(analytics={"stale_after": datetime(2026, 1, 1, tzinfo=UTC)})
    fleet.catch_up()
    fleet.pause_replay()
    fleet.refreshed(publication, 2)
    fleet.api.rows.execute("UPDATE refresh_state SET next_run_at = now() + interval '6 hours'")

    assert fleet.views() == [1]

    state = fleet.api.rows.state(publication)
    assert state.reason == "stale"
    assert state.next_run_at > datetime.now(UTC)


def test_stale_row_that_the_replica_serves_is_made_due_on_the_primary(fleet: Fleet) -> None:
    publication = fleet.api.rows.publication(
        analytics={"stale_after": datetime(2026, 1, 1, tzinfo=UTC)},
        state={"next_run_at": datetime(2030, 1, 1, tzinfo=UTC)},
    )
    fleet.catch_up()
    before = reads("served")

    fleet.api.posts()

    assert reads("served") > before
    assert fleet.api.rows.state(publication).reason == "read"


def test_delta_feed_reads_the_primary(fleet: Fleet) -> None:
    publication = fleet.api.rows.publication()
    cursor = fleet.api.get(CHANGES, params={"cursor": "now"}).json()["cursor"]
    fleet.pause_replay()
    fleet.refreshed(publication, 2)

    changes = fleet.api.get(CHANGES, params={"cursor": cursor}).json()["changes"]

    assert [change["item"]["metrics"] for change in changes] == [{"views": 2}]


def test_lag_is_shown_and_a_replica_that_is_too_far_behind_serves_nothing(pair: Pair) -> None:
    with fleet_on(pair, read_max_lag_seconds=0.001) as fleet:
        publication = fleet.api.rows.publication()
        fleet.catch_up()
        assert fleet.ready() == {"state": "serving", "lag_seconds": 0.0}
        fleet.pause_replay()
        fleet.refreshed(publication, 2)

        fleet.probe()
        fleet.probe()

        shown = fleet.ready()
        assert shown["state"] == "behind"
        assert shown["lag_seconds"] > 0.001
        assert sample("dravo_api_replica_state", state="behind") == 1
        assert sample("dravo_api_replica_lag_seconds") == pytest.approx(shown["lag_seconds"])
        assert fleet.views() == [2]
        fleet.resume_replay()


def test_replica_that_is_no_standby_of_this_primary_serves_nothing(database_url: str) -> None:
    with support.api(database_url, read_database_url=SecretStr(database_url)) as api:
        probe(api)

        assert api.get("/readyz").json()["replica"] == {"state": "foreign", "lag_seconds": None}


def test_reads_of_a_frozen_replica_are_answered_by_the_primary(
    fleet: Fleet, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(monitor, "PROBE_SECONDS", 0.2)
    fleet.api.rows.publication()
    fleet.catch_up()
    assert served_by_replica(fleet)
    processes = psutil.Process(pair.replica.pid)
    family = [processes, *processes.children(recursive=True)]
    for process in family:
        process.suspend()
    try:
        before = reads("failed")
        assert fleet.views() == [1]
        assert reads("failed") == before + 1
        assert fleet.probe() == "unreachable"
        assert fleet.views() == [1]
    finally:
        for process in family:
            process.resume()
    wait_until(lambda: served_by_replica(fleet), 30, "the replica serves again")


def test_reads_of_a_replica_that_is_gone_are_answered_by_the_primary(fleet: Fleet, pair: Pair) -> None:
    fleet.api.rows.publication()
    fleet.catch_up()
    assert served_by_replica(fleet)

    pair.replica.stop()
    try:
        assert [fleet.views() for _ in range(3)] == [[1]] * 3
        assert fleet.ready() == {"state": "unreachable", "lag_seconds": None}
        assert fleet.probe() == "unreachable"
    finally:
        pair.replica.start()

    wait_until(lambda: served_by_replica(fleet), 30, "the replica serves again")
