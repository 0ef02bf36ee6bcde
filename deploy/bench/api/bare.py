"""The baseline of `deploy.bench.api`: an ASGI application that runs one statement and returns rows as JSON.

The environment holds the statement and its values, so that it is the statement that the read API runs.
"""

import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from psycopg import AsyncRawCursor
from psycopg_pool import AsyncConnectionPool

Message = MutableMapping[str, Any]

_statement = os.environ["BARE_STATEMENT"]
_values = json.loads(os.environ["BARE_VALUES"])
_pool = AsyncConnectionPool(
    os.environ["BARE_DATABASE"],
    open=False,
    min_size=1,
    max_size=8,
    kwargs={
        "autocommit": True,
        "cursor_factory": AsyncRawCursor,
        "options": "-c timezone=UTC -c plan_cache_mode=force_generic_plan -c jit=off",
    },
)


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Answer every request with the statement's rows."""
    if scope["type"] == "lifespan":
        await receive()
        await _pool.open()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await _pool.close()
        await send({"type": "lifespan.shutdown.complete"})
        return
    async with _pool.connection() as connection:
        cursor = await connection.execute(_statement, _values, prepare=True, binary=True)
        rows = await cursor.fetchall()
    body = json.dumps(rows, default=str).encode()
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})
