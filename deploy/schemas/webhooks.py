"""The documents of `dravo webhooks`."""

from typing_extensions import TypedDict

from deploy.schemas.parts import Instant


class Tested(TypedDict):
    """`dravo webhooks test`."""

    outcome: str
    status: int | None
    failure: str | None
    seconds: float


class AddedEndpoint(TypedDict):
    """`dravo webhooks add`: the only time that the secret is shown."""

    endpoint_id: str
    secret: str
    workspace_id: str
    test: Tested


class Endpoint(TypedDict):
    """One endpoint of `dravo webhooks list`."""

    endpoint_id: str
    workspace_id: str
    url: str
    types: list[str]
    thin: bool
    state: str
    state_reason: str | None
    failing_since: Instant | None
    failure: str | None
    delivered_at: Instant | None
    next_run_at: Instant | None
    refused_rows: int
    behind_seconds: float


class Delivery(TypedDict):
    """One attempt of the last seven days."""

    delivery_id: str
    delivered_at: Instant
    type: str
    message_id: str
    rows: int
    attempt: int
    outcome: str
    status: int | None
    failure: str | None
    seconds: float


class RefusedRow(TypedDict):
    """A row that the endpoint refuses."""

    subject: str
    refused_at: Instant
    tries: int
    next_try_at: Instant | None


class Deliveries(TypedDict):
    """`dravo webhooks deliveries`."""

    deliveries: list[Delivery]
    refused_rows: list[RefusedRow]


class RotatedSecret(TypedDict):
    """`dravo webhooks rotate`: the only time that the new secret is shown."""

    endpoint_id: str
    secret: str


class EndpointState(TypedDict):
    """`dravo webhooks disable`, `enable`, `redeliver` and `remove`."""

    endpoint_id: str
    state: str
