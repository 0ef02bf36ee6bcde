"""The JSON document of each command, by the command's name."""

from collections.abc import Mapping
from typing import Any, Final

from typing_extensions import TypedDict

from deploy.schemas import lifecycle, setup, webhooks
from deploy.schemas.parts import (
    AccountOfRow,
    Attempt,
    Delay,
    FailedGroup,
    FailingWebhook,
    Hold,
    Instant,
    Json,
    LastAttempt,
    Need,
    Pause,
    PlatformRows,
    Spending,
    StuckRow,
    WaitingGroup,
    Worker,
)


class Publication(TypedDict):
    """`dravo why` of a publication."""

    publication_id: str
    workspace_id: str
    post_id: str
    account_id: str
    platform: str
    platform_post_id: str | None
    platform_post_url: str | None
    publish_id: str | None
    media_type: str | None
    text: str | None
    created_at: Instant
    published_at: Instant | None
    metrics: Json
    warnings: list[str]
    sync_status: str
    error_message: str | None
    last_updated_at: Instant | None
    stale_after: Instant | None
    next_run_at: Instant | None
    reason: str
    reason_sentence: str
    runs_at: Instant | None
    why_not_now: str
    holds: list[Hold]
    attempts: int
    unfinished: int
    priority: int
    claimed_at: Instant | None
    missing_since: Instant | None
    last_attempt: LastAttempt
    account: AccountOfRow
    pauses: list[Pause]
    timeline: list[Attempt]
    freshness: str
    freshness_numbers: Any
    advice: str


class Subject(TypedDict):
    """`dravo why` of an account, a workspace or a platform."""

    subject: str
    name: str
    holds: list[Hold]
    publications: int
    ageing: int
    overdue_seconds: float | None
    advice: str


class Status(TypedDict):
    """`dravo status`."""

    needs_you: list[Need]
    more_needs: int
    all_well: bool
    at: Instant
    rows: list[PlatformRows]
    due: int
    claimed: int
    quarantined: int
    stuck: list[StuckRow]
    oldest_overdue_at: Instant | None
    oldest_overdue_seconds: float | None
    delays: list[Delay]
    delay_threshold_seconds: int
    accounts: dict[str, int]
    pauses: list[Pause]
    webhooks: list[FailingWebhook]
    spending: Spending
    queues: dict[str, int] | None
    workers: list[Worker] | None
    redis_error: str | None


class Account(TypedDict):
    """One account of `dravo accounts`."""

    account_id: str
    workspace_id: str
    platform: str
    platform_account_id: str
    name: str | None
    login: str | None
    kind: str | None
    state: str
    state_reason: str | None
    state_changed_at: Instant
    token_expires_at: Instant | None
    refresh_token_expires_at: Instant | None
    scopes: list[str]
    rows: int
    overdue: int
    oldest_overdue_at: Instant | None
    pauses: list[Pause]


class Resync(TypedDict):
    """`dravo resync`."""

    rows: int
    calls: int
    dollars: float
    synced: int
    failed: int
    failures: list[FailedGroup]
    postponed: int
    unfinished: int
    waiting_for: list[WaitingGroup]
    made_due: int
    unavailable: int
    last: int
    dry_run: bool


class PlacedPause(TypedDict):
    """`dravo pause`."""

    platform: str
    kind: str
    subject: str
    paused_until: Instant | None
    reason: str
    accounts: int


class Resumed(TypedDict):
    """`dravo resume`."""

    resumed: int
    pauses: list[Pause]


class PauseKey(TypedDict):
    """What a pause is about."""

    platform: str
    kind: str
    subject: str


class Tried(TypedDict):
    """`dravo resume --try`."""

    accepted: list[PauseKey]
    refused: list[PauseKey]
    waiting: list[PauseKey]
    pauses: list[Pause]


class AuditEntry(TypedDict):
    """One entry of `dravo audit-log`."""

    act_id: str
    acted_at: Instant
    ended_at: Instant | None
    operator: str
    via: str
    act: str
    subject: Json
    reason: str | None
    rows: int | None
    last: int | None


class Quarantined(TypedDict):
    """One publication of `dravo quarantine list`."""

    publication_id: str
    workspace_id: str
    post_id: str
    account_id: str
    platform: str
    platform_post_id: str | None
    quarantined_at: Instant | None
    detail: str | None


class Released(TypedDict):
    """`dravo quarantine release`."""

    released: int
    publication_ids: list[str]


DOCUMENTS: Final[Mapping[str, Any]] = {
    "accounts": list[Account],
    "accounts check": setup.Checked,
    "audit-log": list[AuditEntry],
    "demo audit": setup.AuditedPromises,
    "demo break": setup.Broken,
    "demo heal": setup.Healed,
    "erase": lifecycle.Counted | lifecycle.Requested | lifecycle.Certificate,
    "erase certificate": lifecycle.Certificate,
    "erase import-meta": lifecycle.ErasedUsers,
    "erase list": list[lifecycle.Certificate],
    "erase replay": lifecycle.Replayed,
    "export": lifecycle.ArchivedAccount | lifecycle.ArchivedPublication | lifecycle.ArchivedReading,
    "freshness": lifecycle.FreshnessForecast,
    "import accounts": setup.Imported | list[setup.ExampleRow],
    "import archive": setup.Imported,
    "import publications": setup.Imported,
    "keys create": setup.NewKey,
    "keys list": list[setup.Key],
    "keys revoke": setup.RevokedKey,
    "migrate": setup.Migrated,
    "pause": PlacedPause,
    "pauses": list[Pause],
    "quarantine list": list[Quarantined],
    "quarantine release": Released,
    "replay-freshness": lifecycle.FreshnessReplay,
    "resume": Resumed | Tried,
    "resync": Resync,
    "retention run": list[lifecycle.RetentionStep],
    "retention status": lifecycle.RetentionStatus,
    "schema": setup.Schema,
    "secrets generate": setup.Secret,
    "secrets rotate": setup.Resealed,
    "secrets sealing-key": setup.SealingKey,
    "status": Status,
    "webhooks add": webhooks.AddedEndpoint,
    "webhooks deliveries": webhooks.Deliveries,
    "webhooks disable": webhooks.EndpointState,
    "webhooks enable": webhooks.EndpointState,
    "webhooks list": list[webhooks.Endpoint],
    "webhooks redeliver": webhooks.EndpointState,
    "webhooks remove": webhooks.EndpointState,
    "webhooks rotate": webhooks.RotatedSecret,
    "webhooks test": webhooks.Tested,
    "why": Publication | list[Publication] | Subject,
}
"""The type of each command's document; for `export`, of each line."""
