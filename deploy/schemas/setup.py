"""The documents of the commands that set a fleet up: import, keys, secrets, accounts check, migrate, demo."""

from typing import Any, NotRequired

from typing_extensions import TypedDict

from deploy.schemas.parts import Instant


class RefusedRow(TypedDict):
    """A row of a file that was refused."""

    line: int
    message: str


class UnknownField(TypedDict):
    """A field that no row has, with the nearest known one."""

    line: int
    field: str
    nearest: str


class Imported(TypedDict):
    """`dravo import`."""

    accepted: int
    unchanged: int
    refused: int
    errors: list[RefusedRow]
    unknown_fields: list[UnknownField]
    dry_run: bool


class ExampleRow(TypedDict):
    """One row of `dravo import accounts --example`."""

    account_id: str
    workspace_id: str
    platform: str
    platform_account_id: str
    login: NotRequired[str]
    kind: NotRequired[str]
    access_token: str
    refresh_token: NotRequired[str]
    token_expires_at: NotRequired[Instant | None]
    refresh_token_expires_at: NotRequired[Instant | None]
    scopes: list[str]
    name: str


class NewKey(TypedDict):
    """`dravo keys create`: the only time that the key is shown."""

    key_id: str
    key: str
    workspace_id: str
    name: str | None


class Key(TypedDict):
    """One key of `dravo keys list`."""

    key_id: str
    workspace_id: str
    name: str | None
    created_at: Instant
    last_used_at: Instant | None
    revoked_at: Instant | None


class RevokedKey(TypedDict):
    """`dravo keys revoke`."""

    key_id: str
    revoked: bool


class Secret(TypedDict):
    """`dravo secrets generate`."""

    secret: str


class SealingKey(TypedDict):
    """`dravo secrets sealing-key`."""

    sealing_key: str


class Resealed(TypedDict):
    """`dravo secrets rotate`."""

    accounts: int
    resealed: int
    unchanged: int
    unopened: int
    unopened_accounts: list[str]
    unopened_endpoints: list[str]


class Limit(TypedDict):
    """A limit that a platform reported."""

    kind: str
    endpoint: str | None
    limit: int | None
    remaining: int | None
    used_percent: int | None
    resets_at: Instant | None


class Checked(TypedDict):
    """`dravo accounts check`."""

    account_id: str
    workspace_id: str
    platform: str
    platform_account_id: str
    state: str
    scopes: list[str]
    token_expires_at: Instant | None
    refresh_token_expires_at: Instant | None
    post_id: str | None
    answer: str | None
    metrics: list[str]
    warnings: list[str]
    calls: int
    limits: list[Limit]
    ok: bool
    problem: str | None
    to_do: str | None


Migrated = TypedDict("Migrated", {"from": str | None, "revision": str})
"""`dravo migrate`: ``from`` is a keyword of Python."""


class Broken(TypedDict):
    """`dravo demo break`."""

    platform: str
    conditions: list[str]


class AuditedPlatform(TypedDict):
    """Reads of one platform's rows; the shares are parts of them."""

    platform: str
    reads: int
    claimed_within_5_percent: float
    true_within_5_percent: float


class AuditedPromises(TypedDict):
    """`dravo demo audit`."""

    platforms: list[AuditedPlatform]


class Healed(TypedDict):
    """`dravo demo heal`."""

    healed: list[str]


Schema = dict[str, Any] | list[str]
"""`dravo schema`: a JSON Schema, or the commands that have one."""
