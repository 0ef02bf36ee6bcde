"""Which workspaces read the primary, by the positions that forced refreshes have noted."""

import asyncio
from datetime import timedelta
from typing import Any, cast

from api_stub.http.database import Connection, Database
from api_stub.replica.read_your_writes import ReadYourWrites, _hash


class Primary:
    """A primary at a position."""

    def __init__(self, position: int) -> None:
        self.position = position

    async def fetch(self, _statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        """Answer a note."""
        return [(f"{self.position} {parameters['workspace']}",)]

    async def execute(self, _statement: str) -> "Primary":
        """Answer a new connection."""
        return self

    async def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the position."""
        return [(self.position,)]


class Clock:
    """A clock that stands still."""

    now = 0.0

    def __call__(self) -> float:
        """Return the instant."""
        return self.now


def noted() -> tuple[ReadYourWrites, Primary, Clock]:
    primary, clock = Primary(100), Clock()
    own_writes = ReadYourWrites(cast(Database, primary), timedelta(seconds=10), clock)
    asyncio.run(own_writes.connected(cast(Connection, primary)))
    return own_writes, primary, clock


def test_workspace_reads_the_primary_until_the_hold_is_over_and_the_position_is_replayed() -> None:
    own_writes, primary, clock = noted()
    primary.position = 500
    asyncio.run(own_writes.note("ws_1"))

    assert own_writes.needs_primary("ws_1", replayed=600)
    clock.now = 11
    assert own_writes.needs_primary("ws_1", replayed=499)
    assert not own_writes.needs_primary("ws_1", replayed=500)
    assert not own_writes.needs_primary("ws_2", replayed=400)


def test_older_position_that_arrives_late_changes_nothing() -> None:
    own_writes, _, clock = noted()
    own_writes.receive(f"500 {_hash('ws_1')}")
    own_writes.receive(f"300 {_hash('ws_1')}")
    clock.now = 11

    assert own_writes.needs_primary("ws_1", replayed=400)


def test_every_workspace_reads_the_primary_while_notifications_may_be_missed() -> None:
    own_writes, primary, _ = noted()
    assert not own_writes.needs_primary("ws_1", replayed=100)

    own_writes.disconnected()
    assert own_writes.needs_primary("ws_1", replayed=10_000)

    primary.position = 700
    asyncio.run(own_writes.connected(cast(Connection, primary)))
    assert own_writes.needs_primary("ws_1", replayed=699)
    assert not own_writes.needs_primary("ws_1", replayed=700)


def test_replayed_positions_are_forgotten() -> None:
    own_writes, _, clock = noted()
    own_writes.receive(f"500 {_hash('ws_1')}")
    own_writes.receive(f"900 {_hash('ws_2')}")
    clock.now = 11

    own_writes.forget(replayed=600)

    assert list(own_writes._noted) == [_hash("ws_2")]
