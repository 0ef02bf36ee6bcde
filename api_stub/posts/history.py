"""``GET /v1/analytics/posts/{post_id}/history``: the snapshots of a post over time, per publication."""

from collections import defaultdict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from api_stub.http.errors import not_found, quotable
from api_stub.http.negotiation import negotiated
from api_stub.posts.parameters import parse_history, parse_id
from api_stub.posts.workspace import MAX_SNAPSHOTS
from api_stub.service import service_of


async def list_history(request: Request) -> Response:
    """Answer with the snapshots of every publication of a post, the oldest first."""
    service = service_of(request)
    caller = await service.authenticator.caller(request)
    query = parse_history(request.scope["query_string"])
    post_id = parse_id("post_id", request.path_params["post_id"])
    workspace = service.workspace(caller)
    publications = await workspace.publications(post_id)
    if not publications:
        raise not_found(f"no publication has the id {quotable(post_id)}", "post_id")
    snapshots = await workspace.history([publication.id for publication in publications], query)
    by_publication: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in reversed(snapshots[:MAX_SNAPSHOTS]):
        snapshot: dict[str, Any] = {
            "taken_at": row.taken_at,
            "last_seen_at": row.last_seen_at,
            "sync_status": row.sync_status,
            "metrics": row.metrics,
        }
        if query.interval != "raw":
            snapshot = {"interval_start": row.interval_start, **snapshot}
        by_publication[row.publication_id].append(snapshot)
    return negotiated(
        request,
        {
            "post_id": publications[0].post_id,
            "interval": query.interval,
            "publications": [
                {
                    "publication_id": str(publication.id),
                    "account_id": publication.account_id,
                    "platform": publication.platform,
                    "platform_post_id": publication.platform_post_id,
                    "snapshots": by_publication[publication.id],
                }
                for publication in publications
            ],
            "truncated": len(snapshots) > MAX_SNAPSHOTS,
        },
    )
