"""The watch of the replica goes on after a defect, and the replica serves nothing until it is asked again."""

import asyncio
from collections.abc import Iterator
from typing import cast

import pytest
from pydantic import SecretStr

from api_stub.http.database import Database
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
