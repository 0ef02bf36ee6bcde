"""The documents of the commands about the life of data: erase, export, retention, freshness."""

from typing import Any, Literal

from typing_extensions import TypedDict

from deploy.schemas.parts import Instant, Json


class Counted(TypedDict):
    """`dravo erase` without --yes: rows by table."""

    dry_run: bool
    rows: dict[str, int]
    estimated: list[str]


class Requested(TypedDict):
    """`dravo erase --yes`."""

    code: str
    dry_run: bool
    rows: dict[str, int]
    estimated: list[str]


class Certificate(TypedDict):
    """What is kept of an erasure."""

    code: str
    kind: str
    source: str
    phase: str
    requested_at: Instant
    ended_at: Instant | None
    rows: dict[str, int]
    scan: Any
    dry_run: bool


class ErasedUsers(TypedDict):
    """`dravo erase import-meta`."""

    users: int
    accounts: int
    codes: list[str]
    dry_run: bool


class Replayed(TypedDict):
    """`dravo erase replay`."""

    replayed: int
    codes: list[str]
    left: list[str]


class ArchivedAccount(TypedDict):
    """A line of `dravo export`: an account, without tokens."""

    type: Literal["account"]
    account_id: str
    workspace_id: str
    platform: str
    platform_account_id: str
    platform_user_id: str | None
    login: str | None
    kind: str | None
    name: str | None
    scopes: list[str]


class ArchivedPublication(TypedDict):
    """A line of `dravo export`: a publication with its served values."""

    type: Literal["publication"]
    post_id: str
    account_id: str
    platform_post_id: str | None
    publish_id: str | None
    platform_post_url: str | None
    media_type: str | None
    text: str | None
    created_at: Instant
    published_at: Instant | None
    sync_status: str
    metrics: Json
    warnings: list[str]
    last_updated_at: Instant | None


class ArchivedReading(TypedDict):
    """A line of `dravo export`: a reading."""

    type: Literal["reading"]
    grain: str
    account_id: str
    post_id: str
    platform_post_id: str | None
    publish_id: str | None
    taken_at: Instant
    last_seen_at: Instant
    reads: int
    sync_status: str
    metrics: Json


RetentionClass = TypedDict(
    "RetentionClass",
    {
        "class": str,
        "group": str | None,
        "limit_seconds": int | None,
        "rows": int | None,
        "bytes": int | None,
        "expired": int | None,
        "estimated": bool,
        "expired_bytes": int,
    },
)
"""One class of data of `dravo retention status`; ``class`` is a keyword of Python. null: not counted."""


class DiskForecast(TypedDict):
    """How large the readings are and become."""

    bytes_now: int
    bytes_a_day: int
    steady_bytes: int | None


class RetentionStatus(TypedDict):
    """`dravo retention status`."""

    enabled: bool
    classes: list[RetentionClass]
    forecast: DiskForecast


class RetentionStep(TypedDict):
    """One step of `dravo retention run`."""

    what: str
    subject: str
    rows: int


class PlatformCalls(TypedDict):
    """What a policy costs at one platform."""

    platform: str
    rows: int
    rows_a_day_before: float
    rows_a_day_after: float
    calls_a_day_before: float
    calls_a_day_after: float
    reads_within_5_percent: float | None


class FreshnessForecast(TypedDict):
    """`dravo freshness`."""

    policy: str
    dry_run: bool
    platforms: list[PlatformCalls]


class ReplayedPolicy(TypedDict):
    """How one policy would have done."""

    policy: str
    calls: float
    error: float
    within_5_percent: float
    times_bound: float | None


class FreshnessReplay(TypedDict):
    """`dravo replay-freshness`."""

    posts: int
    calls: float
    policies: list[ReplayedPolicy]
