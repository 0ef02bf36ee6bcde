"""Which workspaces read the primary because a client has just forced a refresh and must see its result.

The position of the write-ahead log after the result is notified to every API process over PostgreSQL. Each
process sends the reads of that workspace to the primary until its own replica has replayed the position.
"""

import hashlib
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final, NamedTuple

from api_stub.http.database import Connection, Database

FORCED_CHANNEL: Final = "dravo_forced"
"""PostgreSQL channel of forced refreshes; the payload is a position and a hash of the workspace's id."""

_HERE: Final = "(pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint"
_POSITION: Final = f"SELECT {_HERE}"
_NOTIFY: Final = f"""
SELECT noted.payload
  FROM (SELECT {_HERE} || ' ' || %(workspace)s::text AS payload) noted,
       pg_notify(%(channel)s, noted.payload)
"""


class _Noted(NamedTuple):
    until: float
    position: int


class ReadYourWrites:
    """The forced refreshes of the whole fleet whose results a replica may still lack."""

    channel: Final = FORCED_CHANNEL

    def __init__(
        self, primary: Database, hold: timedelta, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``hold``: the least time for which a note counts; a refresh is noted when it begins and ends."""
        self._primary = primary
        self._hold = hold.total_seconds()
        self._clock = clock
        self._noted: dict[str, _Noted] = {}
        self._all_until: int | None = None

    async def note(self, workspace_id: str) -> None:
        """Send the workspace's reads to the primary, in every process. Raises `ApiError` (503)."""
        bound = {"channel": FORCED_CHANNEL, "workspace": _hash(workspace_id)}
        self.receive((await self._primary.fetch(_NOTIFY, bound))[0][0])

    def receive(self, payload: str) -> None:
        """Take a notification of any process."""
        position, _, workspace = payload.partition(" ")
        known = self._noted.get(workspace)
        at = max(int(position), known.position if known else 0)
        self._noted[workspace] = _Noted(self._clock() + self._hold, at)

    async def connected(self, connection: Connection) -> None:
        """Take up listening: what was noted before is not behind the primary's position of now."""
        cursor = await connection.execute(_POSITION)
        rows = await cursor.fetchall()
        self._all_until = rows[0][0]

    def disconnected(self) -> None:
        """Read the primary only: the forced refreshes of other processes are unknown."""
        self._all_until = None

    def needs_primary(self, workspace_id: str, replayed: int) -> bool:
        """Return whether a replica that has replayed this position may lack a result of the workspace."""
        if self._all_until is None or replayed < self._all_until:
            return True
        noted = self._noted.get(_hash(workspace_id)) if self._noted else None
        return noted is not None and self._counts(noted, replayed)

    def forget(self, replayed: int) -> None:
        """Drop what a replica that has replayed this position cannot lack."""
        self._noted = {key: noted for key, noted in self._noted.items() if self._counts(noted, replayed)}

    def _counts(self, noted: _Noted, replayed: int) -> bool:
        return replayed < noted.position or self._clock() < noted.until


def _hash(workspace_id: str) -> str:
    """Return a short name: a payload holds 8,000 bytes, a workspace's id may be longer."""
    return hashlib.blake2b(workspace_id.encode(), digest_size=16).hexdigest()
