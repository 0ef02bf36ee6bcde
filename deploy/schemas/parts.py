"""Shapes that several commands share. Field names are the contract's own; instants are RFC 3339 in UTC."""

from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class Pause(TypedDict):
    """A pause in force."""

    platform: str
    kind: str
    subject: str
    placed_by: str
    needs_operator: bool
    paused_at: Instant
    paused_until: Instant | None
    reason: str


class Hold(TypedDict):
    """One thing that holds work back."""

    cause: str
    scope: str
    sentence: str
    set_by: str
    since: Instant | None
    until: Instant | None
    to_do: str
    needs_operator: bool


class Attempt(TypedDict):
    """One attempt, or equal ones in a row."""

    at: Instant
    since: Instant
    times: int
    outcome: str
    sentence: str | None
    seconds: float | None
    worker: str | None
    request_id: str | None
    freshness: str | None


class Need(TypedDict):
    """One line of what needs an operator now."""

    alert: str
    severity: str
    cause: str
    since: Instant | None
    ageing: int | None
    to_do: str
    subject: dict[str, str]
    rows: dict[str, str]


class PlatformRows(TypedDict):
    """The rows of one platform."""

    platform: str
    synced: int
    partial: int
    pending: int
    failed: int
    requires_reconnect: int
    total: int
    due: int
    claimed: int
    oldest_overdue_at: Instant | None


class StuckRow(TypedDict):
    """A row that no tick, read or re-sync reaches."""

    publication_id: str
    account_id: str
    platform: str
    breach: str


class FailingWebhook(TypedDict):
    """A webhook endpoint that fails or was disabled."""

    endpoint_id: str
    workspace_id: str
    state: str
    failing_since: Instant | None
    failure: str | None


class Delay(TypedDict):
    """The scheduling delay of a workspace: from due to started."""

    workspace_id: str
    waiting_seconds: float | None
    started_seconds: float | None
    late: bool


class Spending(TypedDict):
    """Post reads that X has billed."""

    reads_today: int
    reads_this_month: int
    dollars_today: float
    dollars_this_month: float


class Worker(TypedDict):
    """A worker that is alive."""

    worker_id: str
    threads: int


class WaitingGroup(TypedDict):
    """Rows of a re-sync that wait for the same thing."""

    cause: str
    scope: str
    sentence: str
    rows: int
    at: Instant | None
    to_do: str
    examples: list[str]


class FailedGroup(TypedDict):
    """Rows of a re-sync that failed for the same cause."""

    platform: str | None
    outcome: str
    detail: str | None
    rows: int
    examples: list[str]


class LastAttempt(TypedDict):
    """The last attempt as the analytics row stores it."""

    attempted_at: Instant | None
    outcome: str | None
    detail: str | None


class AccountOfRow(TypedDict):
    """The account of a publication."""

    state: str
    state_reason: str | None
    token_expires_at: Instant | None
    refresh_token_expires_at: Instant | None


Json = dict[str, Any]
"""An object whose names are data, such as metrics."""
