"""Reads from a real streaming replica: what it serves, what reads the primary, and what its loss changes."""

import asyncio
from datetime import UTC, datetime

import httpx
import psutil
import pytest
from pydantic import SecretStr

from api_stub.app import create
from api_stub.http import database
from api_stub.refresh.waiting import CompletionListener
from api_stub.replica import monitor
from api_stub.service import Service
from api_stub.tasks import cancel_all
from shared.settings import Settings
from tests.api_stub import support
from tests.api_stub.replica.fleet import (
    CHANGES,
    HISTORY,
    Fleet,
    Pair,
    fleet_on,
    probe,
    reads,
    sample,
    served_by_replica,
)
from tests.faults.harness.waiting import wait_until


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


def test_listener_outlives_a_server_that_is_still_a_standby(pair: Pair) -> None:
    class Follower:
        channel = "tests"

        def __init__(self) -> None:
            self.lost = asyncio.Event()

        def receive(self, payload: str) -> None:
            pytest.fail(f"a standby sent {payload}")

        async def connected(self, connection: database.Connection) -> None:
            pytest.fail(f"listening to a standby: {connection}")

        def disconnected(self) -> None:
            self.lost.set()

    async def listen() -> bool:
        follower = Follower()
        listening = asyncio.create_task(CompletionListener(pair.replica.url, follower).run())
        lost = asyncio.create_task(follower.lost.wait())
        done, _ = await asyncio.wait({listening, lost}, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        await cancel_all([listening, lost])
        return lost in done and listening not in done

    assert asyncio.run(listen())
