"""``GET /v1/analytics/posts``: a page of analytics rows of the caller's workspace."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from api_stub.http import metrics
from api_stub.http.negotiation import negotiated, page_links
from api_stub.posts.parameters import PostsQuery, parse_posts
from api_stub.posts.representation import Page, overview
from api_stub.refresh.refreshing import make_stale_due
from api_stub.service import service_of
from shared.analytics_row import item


async def list_posts(request: Request) -> Response:
    """Answer with a page. Stale rows become due; ``refresh=true`` makes all rows due and waits for them."""
    service = service_of(request)
    caller = await service.authenticator.caller(request)
    query = parse_posts(request.scope["query_string"])
    if query.refresh:
        service.forced.spend(caller.subject)
    workspace = service.workspace(caller)
    page = await workspace.page(query)
    service.read_counter.count(caller.workspace_id, [row.id for row in page.rows])
    if not query.refresh:
        await make_stale_due(workspace, page)
        return _response(request, query, page, {})
    with metrics.FORCED_SECONDS.time():
        refreshed = await service.refresher.force(workspace, page)
    return _response(request, query, Page(refreshed.rows, page.total, page.read_at), refreshed.warnings)


def _response(request: Request, query: PostsQuery, page: Page, warnings: Mapping[int, str]) -> Response:
    links = page_links(request, query.page, query.limit, page.total)
    return negotiated(request, _body(query, page, warnings), links)


def _body(query: PostsQuery, page: Page, warnings: Mapping[int, str]) -> dict[str, Any]:
    return {
        "items": [item(row, (warnings[row.id],) if row.id in warnings else ()) for row in page.rows],
        "total": page.total,
        "page": query.page,
        "limit": query.limit,
        "overview": overview(page.rows),
    }
