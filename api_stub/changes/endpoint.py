"""``GET /v1/analytics/changes``: what changed since a cursor. Reading it makes nothing due."""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from api_stub.changes.parameters import PRESENT, parse_changes
from api_stub.http.errors import ApiError, bad_parameter
from api_stub.http.negotiation import negotiated
from api_stub.service import Service, service_of
from shared.changes import feed
from shared.changes.cursor import BEGINNING, Cursor, CursorError, decode

EXPIRED: Final = "The cursor has expired: start again without a cursor; what that walk does not show is gone."


async def list_changes(request: Request) -> Response:
    """Answer with the changes after a cursor, in their order, and the cursor to continue from."""
    service = service_of(request)
    caller = await service.authenticator.caller(request)
    query = parse_changes(request.scope["query_string"])
    workspace_id = caller.workspace_id
    if query.cursor == PRESENT:
        rows = await service.database.fetch(feed.NEWEST, {"workspace": workspace_id})
        page = feed.Page([], feed.present(rows[0]), has_more=False)
        return negotiated(request, feed.page_body(page, workspace_id))
    since = None if query.cursor is None else _decoded(query.cursor, workspace_id)
    page = await _page(service, workspace_id, since, query.limit)
    return negotiated(request, feed.page_body(page, workspace_id))


async def _page(service: Service, workspace_id: str, since: Cursor | None, limit: int) -> feed.Page:
    after = BEGINNING if since is None else since.position
    bound: dict[str, Any] = feed.parameters(workspace_id, after, limit)
    rows = await service.database.fetch(feed.PAGE, bound)
    try:
        return feed.page_of(rows, after, since, service.settings.changes_keep, limit)
    except feed.CursorExpiredError:
        raise ApiError(410, "cursor_expired", EXPIRED, "cursor") from None
    except feed.CursorFromFutureError:
        raise bad_parameter("cursor", "cursor is from the future: it was not returned here") from None


def _decoded(cursor: str, workspace_id: str) -> Cursor:
    try:
        return decode(cursor, workspace_id)
    except CursorError as error:
        raise bad_parameter("cursor", f"cursor {error}") from None
