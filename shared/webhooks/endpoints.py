"""Endpoints as operators see and change them; every act is kept in the audit log by its caller."""

import secrets
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import SecretStr
from sqlalchemy import Connection, text

from shared.accounts.vault import Vault
from shared.changes import feed
from shared.changes.cursor import BEGINNING, Cursor, Kind, encode
from shared.vocabulary import AccountState

MOST_PER_WORKSPACE: Final = 5
LONGEST_OVERLAP: Final = timedelta(days=7)
FAILING: Final = "webhook.failing"
DISABLED: Final = "webhook.disabled"
TEST: Final = "webhook.test"
TYPES: Final = (
    feed.UPDATED,
    feed.DELETED,
    *(feed.ACCOUNT + state.value for state in AccountState),
    FAILING,
    DISABLED,
)
"""What an endpoint may ask for; without a list it gets all of them."""
_SECRET_BYTES: Final = 32


class EndpointError(ValueError):
    """What was asked for cannot be done; the message says why in one sentence."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint as lists show it: without its secret, and without the query of its URL."""

    endpoint_id: str
    workspace_id: str
    url: str
    types: list[str]
    thin: bool
    state: str
    """``enabled``, ``failing`` (enabled, and the last delivery failed) or ``disabled``."""
    state_reason: str | None
    failing_since: datetime | None
    failure: str | None
    delivered_at: datetime | None
    next_run_at: datetime | None
    refused_rows: int
    behind_seconds: float
    """Age of its oldest change that is not delivered; 0: it is caught up."""


_STATE: Final = (
    "CASE WHEN e.state = 'enabled' AND e.failing_since IS NOT NULL THEN 'failing' ELSE e.state END"
)
_LIST: Final = f"""
SELECT e.endpoint_id, e.workspace_id, split_part(e.url, '?', 1), e.types, e.thin, {_STATE} AS shown_state,
       e.state_reason, e.failing_since, e.failure, e.delivered_at, e.next_run_at,
       (SELECT count(*) FROM webhook_refused_rows r WHERE r.endpoint_id = e.endpoint_id),
       COALESCE((SELECT EXTRACT(epoch FROM now() - c.changed_at)::float8 FROM changes c
                  WHERE c.workspace_id = e.workspace_id
                    AND (c.changed_in, c.publication_id) > (e.changed_in, e.changed_key)
                  ORDER BY c.changed_in, c.publication_id LIMIT 1), 0)
  FROM webhook_endpoints e
"""
_ORDER: Final = (
    f" ORDER BY {_STATE} = 'failing' DESC, e.failing_since, e.workspace_id, e.created_at LIMIT :most"
)


def unknown_types(types: Sequence[str]) -> str | None:
    """Return a sentence about the first type that does not exist, with the nearest one; ``None``: all do."""
    for name in types:
        if name not in TYPES:
            (nearest,) = get_close_matches(name, TYPES, n=1, cutoff=0.0)
            return f"no type is called {name!r}; did you mean {nearest}? Types: {', '.join(TYPES)}"
    return None


def new_secret() -> SecretStr:
    """Return a new signing secret in the form of Standard Webhooks."""
    return SecretStr("whsec_" + b64encode(secrets.token_bytes(_SECRET_BYTES)).decode("ascii"))


def add(
    connection: Connection,
    vault: Vault,
    workspace_id: str,
    url: str,
    types: Sequence[str],
    *,
    thin: bool,
    from_beginning: bool,
) -> tuple[str, SecretStr]:
    """Store an endpoint and return its id and secret. Raises `EndpointError`."""
    # Two at once: the second one waits here, and counts the first one.
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('webhooks ' || :w))"), {"w": workspace_id})
    known = connection.execute(
        text("SELECT count(*) FROM webhook_endpoints WHERE workspace_id = :w"), {"w": workspace_id}
    ).scalar_one()
    if known >= MOST_PER_WORKSPACE:
        raise EndpointError(f"a workspace may have {MOST_PER_WORKSPACE} endpoints: remove one first")
    if not connection.execute(
        text("SELECT EXISTS (SELECT FROM accounts WHERE workspace_id = :w)"), {"w": workspace_id}
    ).scalar_one():
        raise EndpointError("no account is in this workspace: see `dravo accounts`")
    secret, endpoint_id = new_secret(), f"whe_{secrets.token_hex(8)}"
    cursor = None if from_beginning else present(connection, workspace_id)
    connection.execute(
        text("""
        INSERT INTO webhook_endpoints (endpoint_id, workspace_id, url, host, types, thin, sealed_secret,
                                       cursor, changed_in, changed_key)
        VALUES (:endpoint_id, :workspace_id, :url, :host, :types, :thin, :secret, :cursor,
                CAST(:changed_in AS xid8), :changed_key)
        """),
        {
            "endpoint_id": endpoint_id,
            "workspace_id": workspace_id,
            "url": url,
            "host": (urlsplit(url).hostname or "").lower(),
            "types": list(types),
            "thin": thin,
            "secret": vault.seal(secret),
            **cursor_columns(cursor, workspace_id),
        },
    )
    return endpoint_id, secret


def present(connection: Connection, workspace_id: str) -> Cursor:
    """Return the cursor of the workspace's present."""
    row = connection.exec_driver_sql(feed.NEWEST, {"workspace": workspace_id}).one()
    return feed.present(row)


def cursor_columns(cursor: Cursor | None, workspace_id: str) -> dict[str, Any]:
    """Return the columns that hold an endpoint's position."""
    position = BEGINNING if cursor is None else cursor.position
    return {
        "cursor": None if cursor is None else encode(cursor, workspace_id),
        "changed_in": str(position.changed_in),
        "changed_key": position.key if position.kind is Kind.PUBLICATION else 0,
    }


def list_endpoints(
    connection: Connection,
    *,
    workspace_id: str | None = None,
    state: str | None = None,
    endpoint_id: str | None = None,
    most: int = 1_000,
) -> list[Endpoint]:
    """Return endpoints, failing ones first."""
    where = (
        " WHERE (CAST(:workspace_id AS text) IS NULL OR e.workspace_id = :workspace_id)"
        " AND (CAST(:endpoint_id AS text) IS NULL OR e.endpoint_id = :endpoint_id)"
        f" AND (CAST(:state AS text) IS NULL OR {_STATE} = :state)"
    )
    bound = {"workspace_id": workspace_id, "state": state, "endpoint_id": endpoint_id, "most": most}
    rows = connection.execute(text(_LIST + where + _ORDER), bound)
    return [Endpoint(*row) for row in rows]


def find(connection: Connection, endpoint_id: str) -> Endpoint:
    """Return one endpoint. Raises `EndpointError`."""
    endpoints = list_endpoints(connection, endpoint_id=endpoint_id)
    if not endpoints:
        raise EndpointError(f"no endpoint has the id {endpoint_id}: see `dravo webhooks list`")
    return endpoints[0]


def rotate(connection: Connection, vault: Vault, endpoint: Endpoint, overlap: timedelta) -> SecretStr:
    """Give an endpoint a new secret and return it; the former one signs too for the overlap."""
    secret = new_secret()
    connection.execute(
        text("""
        UPDATE webhook_endpoints
           SET sealed_former_secret = CASE WHEN :overlap > interval '0' THEN sealed_secret END,
               former_secret_until = CASE WHEN :overlap > interval '0' THEN now() + :overlap END,
               sealed_secret = :secret
         WHERE endpoint_id = :endpoint_id AND workspace_id = :workspace_id
        """),
        {**key_of(endpoint), "overlap": overlap, "secret": vault.seal(secret)},
    )
    return secret


def disable(connection: Connection, endpoint: Endpoint, reason: str) -> None:
    """Stop deliveries to an endpoint; it keeps its position."""
    connection.execute(
        text("""
        UPDATE webhook_endpoints
           SET state = 'disabled', state_reason = :reason, state_changed_at = now(), next_run_at = NULL,
               claim_seq = claim_seq + 1
         WHERE endpoint_id = :endpoint_id AND workspace_id = :workspace_id
        """),
        {**key_of(endpoint), "reason": reason},
    )


def enable(connection: Connection, endpoint: Endpoint) -> None:
    """Let an endpoint go on where it stopped."""
    connection.execute(
        text("""
        UPDATE webhook_endpoints
           SET state = 'enabled', state_reason = NULL, state_changed_at = now(), next_run_at = now(),
               claim_seq = claim_seq + 1, failures = 0, failing_since = NULL, failure = NULL,
               reported_at = NULL, refused_alone = 0, rows_allowed = 1, most_rows = 50
         WHERE endpoint_id = :endpoint_id AND workspace_id = :workspace_id
        """),
        key_of(endpoint),
    )


def remove(connection: Connection, endpoint: Endpoint) -> None:
    """Delete an endpoint with its log."""
    connection.execute(
        text(
            "DELETE FROM webhook_endpoints WHERE endpoint_id = :endpoint_id AND workspace_id = :workspace_id"
        ),
        key_of(endpoint),
    )


def key_of(endpoint: Endpoint) -> dict[str, Any]:
    """Return the values that name an endpoint and its workspace in a statement."""
    return {"endpoint_id": endpoint.endpoint_id, "workspace_id": endpoint.workspace_id}
