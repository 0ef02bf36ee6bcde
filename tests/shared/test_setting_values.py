"""Which value of which setting stops the start, and what an unset one means."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from shared.accounts.vault import Vault, new_key
from shared.settings import Settings, SettingsError, load
from shared.vocabulary import Platform

KEYS = (new_key(), new_key())
SEALING = Vault([SecretStr(KEYS[0])]).sealing_key

REFUSED = {
    "DATABASE_URL": ("mysql://host/db", "postgresql+asyncpg://host/db"),
    "READ_DATABASE_URL": ("sqlite://",),
    "REDIS_URL": ("http://host", "localhost:6379"),
    "SECRET_KEYS": ("short", f"{KEYS[0]},short"),
    "SEALING_KEY": ("public1.short", KEYS[0]),
    "CORS_ORIGINS": ("https://a.example/", "a.example", "https://a.example,*", "https://a.example/x"),
    "REFRESH_WAIT_SECONDS": ("-1", "301"),
    "REFRESH_MIN_AGE_SECONDS": ("-1", "86401"),
    "LEASE_SECONDS": ("0", "-1", "31536001"),
    "TICK_SECONDS": ("0",),
    "RETRY_SECONDS": ("0",),
    "MISSING_CONFIRM_SECONDS": ("-1", "31536001"),
    "FRESHNESS": ("fixed", "fixed:0h", "hourly"),
    "SIGNAL_PRECISION": ("push=2", "guess=0.5"),
    "FRESHNESS_PRIORS": ("x=15h",),
    "CHANGES_KEEP_DAYS": ("0", "3651"),
    "WEBHOOK_CONCURRENCY": ("0", "1025"),
    "WEBHOOK_DISABLE_DAYS": ("0", "366"),
    "WEBHOOK_ALLOW_NETWORKS": ("10.0.0.1/8", "host"),
    "WORKER_THREADS": ("0", "257"),
    "QUARANTINE_STARTS": ("0", "101"),
    "API_PORT": ("-1", "65536"),
    "METRICS_PORT": ("65536",),
    "RETENTION": ("yes", "on,readings=90"),
    "RUNBOOK_URL": ("ftp://a.example", "https://a.example/a b"),
    "LOG_FORMAT": ("xml",),
    "LIMITS": ("tiktok=5",),
    "INTERACTIVE_SHARE": ("-0.1", "0.91"),
    "OFFLINE_CALLS_PER_MINUTE": ("0", "10001"),
    "META_STEER_PERCENT": ("0", "101"),
    "META_PARK_PERCENT": ("0", "101"),
    "BREAKER_FAILURES": ("0", "1001"),
    "X_DAILY_BUDGET_DOLLARS": ("-1",),
    "X_MONTHLY_READS": ("-1",),
    "META_GRAPH_URL": (
        *("https://a.example/v25.0", "https://a.example?x=1", "https://user@a.example"),
        *("ftp://a.example", "a.example", "https://"),
    ),
    "META_API_VERSION": ("25.0", "v25", "v25.0/x"),
    "LINKEDIN_VERSION": ("2026", "192609", "20260901"),
}
ACCEPTED: dict[str, tuple[tuple[str, Any], ...]] = {
    "CORS_ORIGINS": (
        ("https://a.example, http://[::1]:80", ("https://a.example", "http://[::1]:80")),
        (",", ()),
    ),
    "REFRESH_WAIT_SECONDS": (("0", 0), ("300", 300)),
    "REFRESH_MIN_AGE_SECONDS": (("0", 0), ("86400", 86_400)),
    "LEASE_SECONDS": (("0.5", 0.5), ("31536000", 31_536_000)),
    "CHANGES_KEEP_DAYS": (("1", 1), ("3650", 3_650)),
    "API_PORT": (("0", 0), ("65535", 65_535)),
    "INTERACTIVE_SHARE": (("0", 0), ("0.9", 0.9)),
    "META_PARK_PERCENT": (("1", 1), ("100", 100)),
    "X_DAILY_BUDGET_DOLLARS": (("0", 0),),
    "WORKER_THREADS": (("1", 1), ("256", 256)),
    "META_GRAPH_URL": (("http://127.0.0.1:9000/", "http://127.0.0.1:9000"),),
    "SEALING_KEY": ((SEALING, SEALING),),
    "RUNBOOK_URL": (("https://a.example/runbook", "https://a.example/runbook"),),
    "JWT_ALGORITHMS": (("RS256, ES256,", ("RS256", "ES256")),),
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        # not named by the value: some hold keys, which each process makes anew
        pytest.param(name, one, id=f"{name}-{number}")
        for name, all_ in REFUSED.items()
        for number, one in enumerate(all_)
    ],
)
def test_value_that_is_not_allowed_stops_the_start_and_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"DRAVO_{name}", value)

    with pytest.raises(SettingsError) as caught:
        load(name.lower())

    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"DRAVO_{name}: ")
    assert name not in {"SECRET_KEYS", "DATABASE_URL"} or value not in line


@pytest.mark.parametrize(
    ("name", "value", "parsed"),
    [
        pytest.param(name, *one, id=f"{name}-{number}")
        for name, all_ in ACCEPTED.items()
        for number, one in enumerate(all_)
    ],
)
def test_value_at_a_bound_is_allowed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, parsed: object
) -> None:
    monkeypatch.setenv(f"DRAVO_{name}", value)

    assert getattr(load(), name.lower()) == parsed


def test_unset_settings_have_the_documented_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("DRAVO_API_PORT=1\n")
    monkeypatch.setenv("DRAVO_API_HOST", "")
    settings = load()

    documented = {
        "refresh_wait_seconds": 10,
        "refresh_min_age_seconds": 60,
        "lease_seconds": 60,
        "tick_seconds": 1,
        "retry_seconds": 15,
        "freshness": "adaptive",
        "changes_keep": timedelta(days=30),
        "webhook_disable_days": 5,
        "quarantine_starts": 5,
        "api_host": "127.0.0.1",
        "api_port": 8000,
        "retention": "",
        "interactive_share": 0.15,
        "meta_steer_percent": 80,
        "meta_park_percent": 95,
        "x_monthly_reads": 3_000_000,
        "x_dollars_per_read": 0.005,
        "jwt_workspace_claim": "workspace_id",
        "data_dir": ".dravo",
        "without_token": frozenset(),
        "first_retry": timedelta(seconds=15),
        "lease": timedelta(minutes=1),
    }
    assert {name: getattr(settings, name) for name in documented} == documented
    hosts = {
        name: getattr(settings, f"{name}_url")
        for name in ("meta_graph", "instagram_graph", "x_api", "linkedin_api", "linkedin_oauth", "tiktok_api")
    }
    assert hosts == {
        "meta_graph": "https://graph.facebook.com",
        "instagram_graph": "https://graph.instagram.com",
        "x_api": "https://api.x.com",
        "linkedin_api": "https://api.linkedin.com",
        "linkedin_oauth": "https://www.linkedin.com",
        "tiktok_api": "https://open.tiktokapis.com",
    }
    for name in ("database", "redis"):
        with pytest.raises(SettingsError, match=f"DRAVO_{name.upper()}_URL is required"):
            getattr(settings, name)


def test_required_setting_is_one_that_somebody_has_set(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError) as caught:
        load("api_port", "secret_keys")
    assert str(caught.value).splitlines() == [
        "DRAVO_API_PORT: is required and not set",
        "DRAVO_SECRET_KEYS: is required and not set",
    ]
    monkeypatch.setenv("DRAVO_API_PORT", "1")
    monkeypatch.setenv("DRAVO_SECRET_KEYS", ",".join(KEYS))
    monkeypatch.setenv("DRAVO_LEASE_SECONDS", "none")
    with pytest.raises(SettingsError) as caught:
        load("api_port", "secret_keys")
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == ["DRAVO_LEASE_SECONDS"]
    monkeypatch.setenv("DRAVO_REDIS_URL", "")
    with pytest.raises(SettingsError, match="DRAVO_REDIS_URL: is required and not set"):
        load("redis_url")


def test_error_of_any_reader_of_the_settings_shows_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAVO_DATABASE_URL", "mysql://root:hunter2@host/db")
    monkeypatch.setenv("DRAVO_SECRET_KEYS", "hunter3")

    with pytest.raises(ValidationError) as caught:
        Settings()

    assert "hunter" not in str(caught.value)
    assert "holds a value that is no Fernet key: make one with `dravo secrets generate`" in str(caught.value)


@pytest.mark.parametrize(("lease", "idle"), [("60", 5), ("10", 5), ("4", 2)])
def test_idle_transaction_ends_before_half_of_its_lease(
    monkeypatch: pytest.MonkeyPatch, lease: str, idle: int
) -> None:
    monkeypatch.setenv("DRAVO_LEASE_SECONDS", lease)

    assert load().idle == timedelta(seconds=idle)


def test_zero_seconds_of_confirmation_hold_for_every_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAVO_MISSING_CONFIRM_SECONDS", "0")
    monkeypatch.setenv("DRAVO_X_APP_BEARER", "AAAA")
    settings = load()

    assert {settings.missing_confirm(platform) for platform in Platform} == {timedelta(0)}
    assert settings.without_token == {Platform.X}


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_every_spelling_of_a_database_url_uses_one_driver(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("DRAVO_DATABASE_URL", f"{scheme}://u@host/d")

    assert load().database == "postgresql+psycopg://u@host/d"


@pytest.mark.parametrize("scheme", ["redis", "rediss", "unix", "redis+sentinel"])
def test_every_kind_of_redis_is_allowed(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv("DRAVO_REDIS_URL", f"{scheme}://host/0")

    assert load().redis == f"{scheme}://host/0"
