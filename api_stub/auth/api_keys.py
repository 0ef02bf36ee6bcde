"""Verification of API keys: looked up by hash, cached for seconds; their last use is saved in bulk."""

import time
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from typing import Final

from api_stub.http.database import Database
from api_stub.http.errors import ApiError
from shared.accounts.api_keys import hash_key

CACHED_FOR: Final = timedelta(seconds=3)
"""How long a key is cached after a lookup: a revoked key is refused everywhere after this time."""
LAST_USED_SAVED_EVERY: Final = timedelta(seconds=60)
_MAX_CACHED: Final = 10_000

_FIND: Final = "SELECT key_id, workspace_id FROM api_keys WHERE key_hash = %(hash)s AND revoked_at IS NULL"
_SAVE_LAST_USED: Final = """
UPDATE api_keys AS k SET last_used_at = GREATEST(k.last_used_at, u.used_at)
  FROM unnest(%(ids)s::text[], %(instants)s::timestamptz[]) AS u (key_id, used_at)
 WHERE k.key_id = u.key_id RETURNING k.key_id
"""


class ApiKeys:
    """Verifies API keys; caches those that this process has seen, and when each was used last."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._cached: OrderedDict[bytes, tuple[float, str, str]] = OrderedDict()
        self._used: dict[str, datetime] = {}

    async def find(self, key: str) -> tuple[str, str] | None:
        """Return ``(key_id, workspace_id)``, or ``None`` for an unknown or revoked key. Raises `ApiError`."""
        digest, now = hash_key(key), time.monotonic()
        cached = self._cached.get(digest)
        if cached is None or cached[0] <= now:
            self._cached.pop(digest, None)
            rows = await self._database.fetch(_FIND, {"hash": digest})
            if not rows:
                return None
            cached = (now + CACHED_FOR.total_seconds(), *rows[0])
            self._cached[digest] = cached
            if len(self._cached) > _MAX_CACHED:
                self._cached.popitem(last=False)
        _, key_id, workspace_id = cached
        self._used[key_id] = datetime.now(UTC)
        return key_id, workspace_id

    async def save_last_used(self) -> None:
        """Save when each key was used last, in one statement for all keys used since the last call."""
        used, self._used = self._used, {}
        if not used:
            return
        ids = sorted(used)
        try:
            await self._database.fetch(
                _SAVE_LAST_USED, {"ids": ids, "instants": [used[key_id] for key_id in ids]}
            )
        except ApiError:
            self._used = {**used, **self._used}  # saved by the next call
