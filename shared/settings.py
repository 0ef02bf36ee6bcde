"""The settings: every ``DRAVO_…`` variable, validated together, with secrets hidden."""

import os
from datetime import timedelta
from typing import Annotated, Any

from cryptography.fernet import Fernet
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from shared.setting_types import (
    CallLimits,
    DatabaseUrl,
    Dollars,
    FreshnessPolicy,
    FreshnessPriors,
    HmacKey,
    Host,
    Networks,
    Origin,
    Percent,
    RedisUrl,
    RetentionPolicy,
    SealingKeyText,
    Seconds,
    SignalPrecision,
    Token,
)
from shared.vocabulary import Platform


class SettingsError(Exception):
    """One or more settings are wrong or missing; the message lists all of them, one per line."""


class Settings(BaseSettings):
    """What an operator may set, each as ``DRAVO_`` + the field's name in capitals."""

    model_config = SettingsConfigDict(
        env_prefix="DRAVO_", env_ignore_empty=True, frozen=True, hide_input_in_errors=True, extra="ignore"
    )

    database_url: DatabaseUrl | None = None
    read_database_url: DatabaseUrl | None = None
    """A streaming replica of the database, for the reads of the API's clients."""
    read_max_lag_seconds: Seconds = 30
    """The replication lag above which the API reads the primary instead."""
    redis_url: RedisUrl | None = None
    data_dir: str = ".dravo"
    secret_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    sealing_key: SealingKeyText | None = None
    """The public half of the first secret key: it seals tokens that arrive in events and opens none."""

    jwt_secret: HmacKey | None = None
    jwt_public_key: str | None = None
    jwt_jwks_url: str | None = None
    jwt_algorithms: Annotated[tuple[str, ...], NoDecode] = ()
    jwt_audience: str | None = None
    jwt_issuer: str | None = None
    jwt_workspace_claim: str = "workspace_id"
    internal_token: Token | None = None
    cors_origins: Annotated[tuple[Origin, ...], NoDecode] = ()
    """Web pages of these origins may call the read API from a browser."""
    ops_token: Token | None = None
    ops_login_file: str | None = None
    """A file with a token that opens the operators' page once; the first login deletes it."""

    refresh_wait_seconds: Annotated[float, Field(ge=0, le=300)] = 10
    refresh_min_age_seconds: Annotated[float, Field(ge=0, le=86_400)] = 60
    lease_seconds: Seconds = 60
    tick_seconds: Seconds = 1
    missing_confirm_seconds: Annotated[float, Field(ge=0, le=31_536_000)] | None = None
    retry_seconds: Seconds = 15
    freshness: FreshnessPolicy = "adaptive"
    """When a refreshed row is due again: ``adaptive``, or one interval for all rows, ``fixed:6h``."""
    signal_precision: SignalPrecision = ""
    """The precision of signals by kind, as `shared.freshness.signals.parse_precisions` parses it."""
    freshness_priors: FreshnessPriors = ""
    """Half-life, shortest and longest interval by platform: ``facebook=15h/5m/30d,…``."""
    changes_keep_days: Annotated[int, Field(ge=1, le=3_650)] = 30
    """How long a cursor of the delta feed may rest: deletions are kept for a day more."""
    webhook_concurrency: Annotated[int, Field(ge=1, le=1_024)] = 64
    """Deliveries that one sender has under way at once."""
    webhook_disable_days: Annotated[int, Field(ge=1, le=365)] = 5
    """How long a webhook endpoint may fail before it is disabled."""
    webhook_allow_networks: Networks = ""
    """Networks (CIDR) that webhooks may reach although they are not public, with http and any port."""
    worker_threads: Annotated[int, Field(ge=1, le=256)] = 8
    quarantine_starts: Annotated[int, Field(ge=1, le=100)] = 5
    api_host: str = "127.0.0.1"
    api_port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] | None = None
    retention: RetentionPolicy = ""
    """How long data is kept: ``on,readings=60d,tiktok:daily=200d``; empty: nothing is removed."""
    erasure_ledger: str | None = None
    """A file outside the database that names what was erased, for the time after a restore."""
    erasure_logs: str = ""
    """Log files, and folders of them, that an erasure searches; comma-separated."""
    runbook_url: Annotated[str, Field(pattern=r"^https?://\S+$")] | None = None
    """The address of the folder with the runbook's pages, for links on the operators' page."""
    log_format: Annotated[str, Field(pattern="^(json|text|auto)$")] = "auto"

    limits: CallLimits = ""
    """Overrides of the published limits: ``tiktok:endpoint:video/query=1200/1m,x:account:tweets=none``."""
    interactive_share: Annotated[float, Field(ge=0, le=0.9)] = 0.15
    """Part of every budget and of every worker's threads that background work never uses."""
    offline_calls_per_minute: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Calls of one worker process to one platform while Redis does not answer."""
    meta_steer_percent: Percent = 80
    """Used share of a Meta limit above which background work waits until the share has fallen to it."""
    meta_park_percent: Percent = 95
    """Used share of a Meta limit from which background work is not claimed."""
    breaker_failures: Annotated[int, Field(ge=1, le=1_000)] = 5
    """Consecutive 5xx responses and time-outs, fleet-wide, that open an endpoint's circuit breaker."""
    breaker_seconds: Seconds = 30
    """How long a breaker stays open at first; each time in a row twice as long, up to a lease."""
    x_daily_budget_dollars: Dollars | None = None
    """What post reads at X may cost in a UTC day; unset: no budget."""
    x_monthly_budget_dollars: Dollars | None = None
    """The same for a UTC month."""
    x_monthly_reads: Annotated[int, Field(ge=0)] = 3_000_000
    """Post reads in a month at which X refuses further reads."""
    x_dollars_per_read: Dollars = 0.005
    """The price of a post read at X, billed once per post and UTC day."""

    meta_graph_url: Host = "https://graph.facebook.com"
    instagram_graph_url: Host = "https://graph.instagram.com"
    x_api_url: Host = "https://api.x.com"
    linkedin_api_url: Host = "https://api.linkedin.com"
    linkedin_oauth_url: Host = "https://www.linkedin.com"
    tiktok_api_url: Host = "https://open.tiktokapis.com"

    meta_app_id: str | None = None
    meta_app_secret: SecretStr | None = None
    meta_verify_token: SecretStr | None = None
    """What Meta repeats in a webhook's handshake."""
    meta_api_version: Annotated[str, Field(pattern=r"^v\d+\.\d+$")] = "v25.0"
    x_client_id: str | None = None
    x_client_secret: SecretStr | None = None
    x_consumer_secret: SecretStr | None = None
    """The application's API key secret: it signs X's webhooks."""
    x_app_bearer: SecretStr | None = None
    linkedin_client_id: str | None = None
    linkedin_client_secret: SecretStr | None = None
    linkedin_version: Annotated[str, Field(pattern=r"^20\d{4}$")] = "202609"
    tiktok_client_key: str | None = None
    tiktok_client_secret: SecretStr | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the environment alone: no ``.env`` file and no directory of secrets."""
        del settings_cls, dotenv_settings, file_secret_settings
        return init_settings, env_settings

    @property
    def without_token(self) -> frozenset[Platform]:
        """Platforms whose accounts need no token: the application's own key reads their public metrics."""
        return frozenset({Platform.X}) if self.x_app_bearer else frozenset()

    @field_validator("secret_keys", "jwt_algorithms", "cors_origins", mode="before")
    @classmethod
    def _split_commas(cls, value: Any) -> Any:
        return (
            tuple(part.strip() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("secret_keys")
    @classmethod
    def _fernet_keys(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for key in value:
            try:
                Fernet(key.get_secret_value())
            except ValueError:
                raise ValueError(
                    "holds a value that is no Fernet key: make one with `dravo secrets generate`"
                ) from None
        return value

    @property
    def lease(self) -> timedelta:
        """How long a claim is valid: the longest time that a crash can delay a refresh."""
        return timedelta(seconds=self.lease_seconds)

    @property
    def idle(self) -> timedelta:
        """How long a transaction may be idle: a frozen worker loses its locks before its lease ends."""
        return min(self.lease / 2, timedelta(seconds=5))

    @property
    def changes_keep(self) -> timedelta:
        """How long a cursor of the delta feed may rest."""
        return timedelta(days=self.changes_keep_days)

    @property
    def first_retry(self) -> timedelta:
        """The first wait after a transient failure."""
        return timedelta(seconds=self.retry_seconds)

    def missing_confirm(self, platform: Platform) -> timedelta:
        """How long after a post was first missing it is fetched again to confirm that."""
        if self.missing_confirm_seconds is not None:
            return timedelta(seconds=self.missing_confirm_seconds)
        return timedelta(days=1) if platform is Platform.TIKTOK else timedelta(hours=1)

    @property
    def database(self) -> str:
        """The database URL; `load` ensures that a service which requires it has one."""
        if self.database_url is None:
            raise SettingsError("DRAVO_DATABASE_URL is required")
        return self.database_url.get_secret_value()

    @property
    def redis(self) -> str:
        """The Redis URL; `load` ensures that a service which requires it has one."""
        if self.redis_url is None:
            raise SettingsError("DRAVO_REDIS_URL is required")
        return self.redis_url.get_secret_value()


def load(*required: str) -> Settings:
    """Read the settings from the environment.

    ``required`` names the fields that this service requires (``"database_url"``, …).
    Raises `SettingsError` with one line per mistake, without any value.
    """
    mistakes: list[str] = []
    settings = None
    try:
        settings = Settings()
    except ValidationError as error:
        for mistake in error.errors(include_url=False, include_input=False):
            name = f"DRAVO_{str(mistake['loc'][0]).upper()}" if mistake["loc"] else "DRAVO_…"
            mistakes.append(f"{name}: {mistake['msg'].removeprefix('Value error, ')}")
    present = settings.model_fields_set if settings else _set_in_environment()
    missing = (name for name in required if name not in present)
    mistakes += (f"DRAVO_{name.upper()}: is required and not set" for name in missing)
    if mistakes or settings is None:
        raise SettingsError("\n".join(sorted(mistakes)))
    return settings


def _set_in_environment() -> set[str]:

    prefix = "DRAVO_"
    return {
        key.removeprefix(prefix).lower()
        for key, value in os.environ.items()
        if key.startswith(prefix) and value
    }
