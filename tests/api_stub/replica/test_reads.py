"""Which server answers a read after an error, what a forced refresh notes, and how the replica is watched."""

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import pytest
from pydantic import SecretStr

from api_stub.http.database import Database
from api_stub.http.errors import ApiError, unavailable
from api_stub.replica.monitor import ReplicaState
from api_stub.replica.reads import Replica
from shared.settings import Settings

NOWHERE = "postgresql+psycopg://dravo@127.0.0.1:1/dravo"


def test_replica_serves_nothing_after_a_failed_watch_until_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    states: list[ReplicaState] = []

    async def watched_twice() -> None:
        replica = Replica(NOWHERE, cast(Database, None), Settings(database_url=SecretStr(NOWHERE)))
        outcomes: Iterator[Exception | None] = iter([None, RuntimeError("a defect"), None])

        async def watch() -> None:
            outcome = next(outcomes)
            if outcome is not None:
                raise outcome
            replica.monitor.state = ReplicaState.SERVING

        async def pause(_seconds: float) -> None:
            states.append(replica.monitor.state)
            if len(states) == 3:
                raise asyncio.CancelledError

        async def opened() -> None:
            return None

        monkeypatch.setattr(replica, "_watch", watch)
        monkeypatch.setattr(replica._database, "open", opened)
        monkeypatch.setattr("api_stub.replica.reads.asyncio.sleep", pause)
        with pytest.raises(asyncio.CancelledError):
            await replica.run()

    asyncio.run(watched_twice())

    assert states == [ReplicaState.SERVING, ReplicaState.UNREACHABLE, ReplicaState.SERVING]


class Server:
    """A primary or a replica that answers with its name, or with an error."""

    def __init__(self, name: str, error: str | None = None) -> None:
        self.name, self.error, self.checks = name, error, 0

    async def fetch(self, *_: object) -> list[tuple[Any, ...]]:
        """Answer."""
        if self.error is not None:
            raise unavailable(self.error, "An error.")
        return [(self.name,)]

    fetch_once = fetch

    async def check(self) -> None:
        """Count the checks."""
        self.checks += 1


def replica_with(error: str | None = None, **settings: Any) -> tuple[Replica, Server]:
    """Return a replica that serves, and its server."""
    primary, server = Server("primary"), Server("replica", error)
    made = Replica(NOWHERE, cast(Database, primary), Settings(database_url=SecretStr(NOWHERE), **settings))
    made._database = cast(Database, server)
    made.monitor.state, made.monitor.replayed = ReplicaState.SERVING, 100
    made.own_writes._all_until = 100
    return made, server


@pytest.mark.parametrize(
    ("error", "answer", "state"),
    [
        (None, "replica", ReplicaState.SERVING),
        ("conflict", "primary", ReplicaState.SERVING),
        ("database_unavailable", "primary", ReplicaState.UNREACHABLE),
        ("overloaded", "primary", ReplicaState.UNREACHABLE),
        ("timeout", "timeout", ReplicaState.SERVING),
    ],
)
def test_read_that_the_replica_cannot_answer_takes_the_primary(
    error: str | None, answer: str, state: ReplicaState
) -> None:
    replica, _ = replica_with(error)

    async def read() -> str:
        try:
            return str((await replica.fetch("ws_1", "SELECT", {}))[0][0])
        except ApiError as refusal:
            return refusal.code

    assert asyncio.run(read()) == answer
    assert replica.monitor.state is state


@pytest.mark.parametrize("state", [one for one in ReplicaState if one is not ReplicaState.SERVING])
def test_replica_answers_only_while_it_serves(state: ReplicaState) -> None:
    replica, _ = replica_with()
    replica.monitor.state = state

    assert asyncio.run(replica.fetch("ws_1", "SELECT", {})) == [("primary",)]


def test_forced_refresh_is_noted_before_and_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    replica, _ = replica_with(refresh_wait_seconds=10)
    events: list[str] = []

    async def note(_: str) -> None:
        events.append("noted")
        if len(events) == 6:
            raise unavailable("away", "An error.")

    monkeypatch.setattr(replica.own_writes, "note", note)

    async def force() -> None:
        async with replica.forced_refresh("ws_1"):
            events.append("refreshed")

    asyncio.run(force())
    asyncio.run(force())  # the note of its end fails: the answer is good
    assert events == ["noted", "refreshed", "noted"] * 2
    assert replica.own_writes._hold > 10, "a note counts for longer than the wait"


def test_lost_connections_are_replaced_when_the_replica_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    replica, server = replica_with()
    replica.own_writes.receive("90 old")
    replica.own_writes._noted["old"] = replica.own_writes._noted["old"]._replace(until=0.0)
    states = iter([ReplicaState.SERVING, ReplicaState.UNREACHABLE, ReplicaState.SERVING])

    async def probe() -> ReplicaState:
        replica.monitor.state = next(states)
        return replica.monitor.state

    monkeypatch.setattr(replica.monitor, "probe", probe)

    async def watch() -> list[int]:
        checks = []
        for _ in range(3):
            await replica._watch()
            checks.append(server.checks)
        return checks

    assert asyncio.run(watch()) == [0, 0, 1]
    assert replica.own_writes._noted == {}, "what is replayed is forgotten"
