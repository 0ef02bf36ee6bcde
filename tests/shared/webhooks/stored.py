"""Endpoints in the database, as tests add and read them."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from shared.webhooks import endpoints
from shared.webhooks.endpoints import Endpoint
from tests.harness import Harness

HOUR = timedelta(hours=1)


def add(
    harness: Harness,
    workspace_id: str = "ws_1",
    *,
    beginning: bool = False,
    url: str = "https://A.example/?k=1",
) -> tuple[str, str]:
    with harness.engine.begin() as connection:
        return add_to(connection, harness, workspace_id, beginning=beginning, url=url)


def add_to(
    connection: Connection,
    harness: Harness,
    workspace_id: str,
    *,
    beginning: bool = False,
    url: str = "https://A.example/?k=1",
) -> tuple[str, str]:
    endpoint_id, secret = endpoints.add(
        connection,
        harness.context.vault,
        workspace_id,
        url,
        ["analytics.deleted"],
        thin=True,
        from_beginning=beginning,
    )
    return endpoint_id, secret.get_secret_value()


def row(harness: Harness, endpoint_id: str) -> Any:
    return harness.execute(
        "SELECT *, now() - state_changed_at AS changed FROM webhook_endpoints WHERE endpoint_id = :id",
        id=endpoint_id,
    )[0]


def read(harness: Harness, endpoint_id: str) -> Endpoint:
    with harness.engine.begin() as connection:
        return endpoints.find(connection, endpoint_id)
