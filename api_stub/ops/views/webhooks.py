"""The page of webhook endpoints: which fail, since when, why, and how far each is behind."""

from collections import Counter
from collections.abc import Mapping

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from api_stub.ops import queries
from api_stub.ops.authentication import Session
from api_stub.ops.context import OpsContext
from api_stub.ops.rendering import render
from shared.webhooks.endpoints import list_endpoints


async def list_webhooks(context: OpsContext, request: Request, session: Session) -> Response:
    """Show the endpoints, failing ones first."""
    workspace = request.query_params.get("workspace", "").strip().replace("\0", "")
    endpoints, now = await context.read(
        lambda connection: (
            list_endpoints(connection, workspace_id=workspace or None, most=queries.PAGE),
            queries.database_now(connection),
        )
    )
    return render(
        "webhooks.html",
        {
            "session": session,
            "notice": None,
            "endpoints": endpoints,
            "now": now,
            "workspace": workspace,
            "networks": context.webhook_networks,
        },
    )


def count_endpoints(connection: Connection) -> Mapping[str, int]:
    """Return the number of endpoints by state, for the overview's tile."""
    rows = connection.exec_driver_sql(
        "SELECT CASE WHEN state = 'enabled' AND failing_since IS NOT NULL THEN 'failing' ELSE state END,"
        " count(*) FROM webhook_endpoints GROUP BY 1"
    )
    return Counter({row[0]: row[1] for row in rows})
