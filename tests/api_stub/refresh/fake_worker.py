"""A scheduler and worker in one that finishes rows of the interactive lane."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from api_stub.http.database import conninfo

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)
STALE = {"last_updated_at": NOW - 7 * HOUR, "stale_after": NOW - HOUR}
PENDING: dict[str, Any] = {
    "sync_status": "pending",
    "metrics": {},
    "last_updated_at": None,
    "stale_after": None,
}
LATER = {"next_run_at": NOW + HOUR}
FINISH = """
UPDATE post_analytics SET metrics = '{"views": 2}', last_updated_at = now(), attempted_at = now(),
       stale_after = now() + interval '6 hours', outcome = 'synced' WHERE publication_id = ANY(%(ids)s)
"""
RELEASE = """
UPDATE refresh_state SET next_run_at = now() + interval '6 hours', reason = 'stale', priority = 0,
       claimed_at = NULL
 WHERE publication_id = ANY(%(ids)s)
"""
NOTIFY_REFRESHED = "SELECT pg_notify('dravo_refreshed', array_to_string(%(ids)s::bigint[], ','))"


async def worker(url: str, *, rows: int, finish: str = FINISH) -> int:
    """Act as scheduler and worker: finish rows that become due in the interactive lane; return how many."""
    finished = 0
    async with await psycopg.AsyncConnection.connect(conninfo(url), autocommit=True) as connection:
        while finished < rows:
            cursor = await connection.execute(
                "UPDATE refresh_state SET next_run_at = now() + interval '1 minute', reason = 'claimed',"
                " claimed_at = now(), claim_seq = claim_seq + 1"
                " WHERE priority > 0 AND next_run_at <= now() RETURNING publication_id"
            )
            ids = [row[0] for row in await cursor.fetchall()]
            if ids:
                async with connection.transaction():
                    await connection.execute(finish, {"ids": ids})
                    await connection.execute(RELEASE, {"ids": ids})
                    await connection.execute(NOTIFY_REFRESHED, {"ids": ids})
                finished += len(ids)
    return finished


async def both(*coroutines: Coroutine[Any, Any, Any]) -> list[Any]:
    return await asyncio.gather(*coroutines)
