"""Deliveries to an endpoint: their log, the rows that it refuses, and going back to deliver again."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, text

from shared.changes.cursor import AFTER_ALL_OF, Cursor, Kind, Position, decode
from shared.webhooks.endpoints import Endpoint, EndpointError, cursor_columns, key_of, present


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt, kept for seven days."""

    delivery_id: int
    delivered_at: datetime
    type: str
    message_id: str
    rows: int
    attempt: int
    outcome: str
    status: int | None
    failure: str | None
    seconds: float


def list_deliveries(
    connection: Connection, endpoint: Endpoint, *, failed: bool = False, most: int = 100
) -> list[Delivery]:
    """Return the attempts of the last seven days, the newest first."""
    rows = connection.execute(
        text("""
        SELECT delivery_id, delivered_at, type, message_id, rows, attempt, outcome, status, failure, seconds
          FROM webhook_deliveries WHERE endpoint_id = :endpoint_id AND workspace_id = :workspace_id
           AND (NOT :failed OR outcome <> 'delivered')
         ORDER BY delivery_id DESC LIMIT :most
        """),
        {**key_of(endpoint), "failed": failed, "most": most},
    )
    return [Delivery(*row) for row in rows]


def refused_rows(connection: Connection, endpoint: Endpoint) -> list[dict[str, Any]]:
    """Return the rows that the endpoint refuses; without ``next_try_at`` they are not tried again."""
    rows = connection.execute(
        text("""
        SELECT subject, refused_at, tries, next_try_at FROM webhook_refused_rows
         WHERE endpoint_id = :endpoint_id AND workspace_id = :workspace_id ORDER BY refused_at
        """),
        key_of(endpoint),
    )
    return [dict(row._mapping) for row in rows]


_REWIND: Final = text("""
UPDATE webhook_endpoints
   SET cursor = :cursor, changed_in = CAST(:changed_in AS xid8), changed_key = :changed_key,
       redelivery = redelivery + 1, refused_alone = 0, claim_seq = claim_seq + 1,
       next_run_at = CASE WHEN state = 'enabled' THEN now() END
 WHERE endpoint_id = :endpoint_id AND workspace_id = :workspace_id
""")


def redeliver_since(connection: Connection, endpoint: Endpoint, since: datetime) -> None:
    """Let an endpoint go back to the first change since an instant."""
    first = connection.execute(
        text("""
        SELECT min(changed_in::text::bigint) FROM (
            SELECT changed_in FROM changes WHERE workspace_id = :workspace_id AND changed_at >= :since
            UNION ALL
            SELECT changed_in FROM accounts WHERE workspace_id = :workspace_id AND state_changed_at >= :since
        ) later
        """),
        {"workspace_id": endpoint.workspace_id, "since": since},
    ).scalar_one()
    if first is None:
        raise EndpointError("nothing has changed since then")
    current = present(connection, endpoint.workspace_id)
    position = Position(max(0, first - 1), Kind.PUBLICATION, AFTER_ALL_OF)
    cursor = Cursor(position, current.origin, current.at)
    connection.execute(_REWIND, {**key_of(endpoint), **cursor_columns(cursor, endpoint.workspace_id)})


def redeliver_from(connection: Connection, endpoint: Endpoint, delivery_id: int) -> None:
    """Let an endpoint go back to where one of its deliveries began. Raises `EndpointError`."""
    row = connection.execute(
        text("""
        SELECT cursor_before FROM webhook_deliveries
         WHERE delivery_id = :delivery_id AND endpoint_id = :endpoint_id AND workspace_id = :workspace_id
        """),
        {**key_of(endpoint), "delivery_id": delivery_id},
    ).one_or_none()
    if row is None:
        raise EndpointError(f"the endpoint has no delivery {delivery_id}: see `dravo webhooks deliveries`")
    cursor = None if row.cursor_before is None else decode(row.cursor_before, endpoint.workspace_id)
    connection.execute(_REWIND, {**key_of(endpoint), **cursor_columns(cursor, endpoint.workspace_id)})
