"""API keys on the way in: looked up by hash, remembered for seconds, their use noted in passing."""

import time
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from typing import Final

from api_stub.http.database import Database
from api_stub.http.errors import ApiError
from shared.accounts.api_keys import hash_key

KNOWN_FOR: Final = timedelta(seconds=3)
"""How long a found key is not looked up again: a revoked one is refused everywhere within this time."""
USE_NOTED_EVERY: Final = timedelta(seconds=60)
_REMEMBERED: Final = 10_000

_FIND: Final = "SELECT key_id, workspace_id FROM api_keys WHERE key_hash = %(hash)s AND revoked_at IS NULL"
_NOTE_USE: Final = """
UPDATE api_keys AS k SET last_used_at = GREATEST(k.last_used_at, u.used_at)
  FROM unnest(%(ids)s::text[], %(instants)s::timestamptz[]) AS u (key_id, used_at)
 WHERE k.key_id = u.key_id RETURNING k.key_id
"""


class Keys:
    """The keys that this process has seen, and when each was used last."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: OrderedDict[bytes, tuple[float, str, str]] = OrderedDict()
        self._used: dict[str, datetime] = {}

    async def find(self, key: str) -> tuple[str, str] | None:
        """Return ``(key_id, workspace_id)`` of a key in force, or ``None``. Raises `ApiError` (503)."""
        digest, now = hash_key(key), time.monotonic()
        known = self._known.get(digest)
        if known is None or known[0] <= now:
            self._known.pop(digest, None)
            found = await self._database.fetch(_FIND, {"hash": digest})
            if not found:
                return None
            known = (now + KNOWN_FOR.total_seconds(), *found[0])
            self._known[digest] = known
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        _, key_id, workspace_id = known
        self._used[key_id] = datetime.now(UTC)
        return key_id, workspace_id

    async def note_use(self) -> None:
        """Write when each key was used last: one statement for all since the last time."""
        used, self._used = self._used, {}
        if not used:
            return
        ids = sorted(used)
        try:
            await self._database.fetch(_NOTE_USE, {"ids": ids, "instants": [used[key_id] for key_id in ids]})
        except ApiError:
            self._used = {**used, **self._used}  # told again next time
