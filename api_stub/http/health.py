"""``/healthz``, ``/readyz`` and ``/metrics``: the endpoints for monitoring."""

from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from api_stub.http import metrics
from api_stub.http.errors import json_response, unavailable
from api_stub.service import Service, service_of
from shared.erasure.ledger import LedgerError

_SCHEMA: Final = """
SELECT FROM publications, post_analytics, refresh_state, snapshots, accounts, api_keys, pauses,
            publication_counts, served_accounts LIMIT 0
"""
_UNKNOWN_ERASURES: Final = """
SELECT u.code FROM unnest(%(codes)s::text[]) AS u (code)
 WHERE NOT EXISTS (SELECT FROM erasures e WHERE e.code = u.code
                      AND (e.ended_at IS NOT NULL OR e.source <> 'replay')) LIMIT 1
"""


async def alive(_request: Request) -> Response:
    """Answer 200 while the process runs, whether its database answers or not."""
    return json_response({"status": "alive"})


async def ready(request: Request) -> Response:
    """Answer 200 when the database answers and has the schema that this service reads, else 503.

    The body names the replica's state: while the replica cannot serve, the primary does.
    """
    service = service_of(request)
    if service.listener.stopping:
        raise unavailable("stopping", "The service is stopping.")
    await service.database.fetch(_SCHEMA)
    if await unreplayed(service):
        raise unavailable(
            "erasures_not_replayed", "The database was restored: run `dravo erase replay` before it serves."
        )
    if service.replica is None:
        return json_response({"status": "ready"})
    monitor = service.replica.monitor
    replica = {"state": monitor.state, "lag_seconds": monitor.lag_seconds}
    return json_response({"status": "ready", "replica": replica})


async def unreplayed(service: Service) -> bool:
    """Return whether the erasure ledger names an erasure that this database does not know."""
    if service.erasure_ledger is None:
        return False
    try:
        entries = await run_in_threadpool(service.erasure_ledger.entries)
    except LedgerError as error:
        raise unavailable("erasure_ledger_unreadable", "The erasure ledger cannot be read.") from error
    codes = [entry.code for entry in entries]
    return bool(codes and await service.database.fetch(_UNKNOWN_ERASURES, {"codes": codes}))


async def prometheus(request: Request) -> Response:
    """Answer with the metrics of this process."""
    metrics.WAITING.set(service_of(request).database.waiting())
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
