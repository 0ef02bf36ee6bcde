"""``GET /v1/analytics/posts``: a page of analytics rows of the caller's workspace."""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from api_stub.http import metrics
from api_stub.http.negotiation import negotiated, page_links
from api_stub.posts.parameters import PostsQuery, parse_posts
from api_stub.posts.promises import Promise
from api_stub.posts.representation import Page, overview
from api_stub.refresh.refreshing import make_stale_due
from api_stub.service import Service, service_of
from shared.analytics_row import item


async def list_posts(request: Request) -> Response:
    """Answer with a page. Stale rows become due; ``refresh=true`` makes all rows due and waits for them."""
    service = service_of(request)
    caller = await service.authenticator.caller(request)
    query = parse_posts(request.scope["query_string"])
    if query.refresh:
        service.forced.spend(caller.subject)
    workspace = service.workspace(caller, newest=query.refresh)
    page = await workspace.page(query)
    if not query.refresh:
        await make_stale_due(workspace, page)
        warnings: Mapping[int, str] = {}
    else:
        with metrics.FORCED_SECONDS.time():
            async with service.forced_refresh(caller):
                refreshed = await service.refresher.force(workspace, page)
        page, warnings = Page(refreshed.rows, page.total, page.read_at), refreshed.warnings
    promises = _count_reads(service, caller.workspace_id, page)
    body = _body(query, page, warnings, promises if "freshness" in query.include else None)
    return negotiated(request, body, page_links(request, query.page, query.limit, page.total))


def _body(
    query: PostsQuery,
    page: Page,
    warnings: Mapping[int, str],
    promises: Sequence[Promise | None] | None,
) -> dict[str, Any]:
    items = [item(row, (warnings[row.id],) if row.id in warnings else ()) for row in page.rows]
    for one, promise in zip(items, promises or (), strict=promises is not None):
        one["freshness"] = promise and {name: round(number, 4) for name, number in promise._asdict().items()}
    return {
        "items": items,
        "total": page.total,
        "page": query.page,
        "limit": query.limit,
        "overview": overview(page.rows),
    }


def _count_reads(service: Service, workspace_id: str, page: Page) -> list[Promise | None]:
    """Count the reads of a page, and return what each row promises its reader."""
    service.read_counter.count(workspace_id, [row.id for row in page.rows])
    promises = [service.promises.of(row, page.read_at) for row in page.rows]
    for row, promise in zip(page.rows, promises, strict=True):
        if promise is not None:
            service.read_counter.count_promise(workspace_id, row.platform, promise.within_5_percent)
    return promises
