"""``/healthz``, ``/readyz`` and ``/metrics``: the endpoints for monitoring."""

from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from api_stub.http import metrics
from api_stub.http.errors import json_response, unavailable
from api_stub.service import service_of

_SCHEMA: Final = """
SELECT FROM publications, post_analytics, refresh_state, snapshots, accounts, api_keys, pauses,
            publication_counts, served_accounts LIMIT 0
"""


async def alive(_request: Request) -> Response:
    """Answer 200 while the process runs, whether its database answers or not."""
    return json_response({"status": "alive"})


async def ready(request: Request) -> Response:
    """Answer 200 when the database answers and has the schema that this service reads, else 503."""
    service = service_of(request)
    if service.listener.stopping:
        raise unavailable("stopping", "The service is stopping.")
    await service.database.fetch(_SCHEMA)
    return json_response({"status": "ready"})


async def prometheus(request: Request) -> Response:
    """Answer with the metrics of this process."""
    metrics.WAITING.set(service_of(request).database.waiting())
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
