"""Settings: every mistake at once, no value shown."""

from datetime import timedelta

import pytest

from shared.accounts.vault import new_key
from shared.settings import SettingsError, load
from shared.vocabulary import Platform


def mistakes(*required: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(*required)
    return str(caught.value).splitlines()


def test_all_mistakes_are_listed_at_once_without_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAVO_LEASE_SECONDS", "soon-7f3a")
    monkeypatch.setenv("DRAVO_DATABASE_URL", "mysql://root:hunter2@host/db")
    monkeypatch.setenv("DRAVO_SECRET_KEYS", "no-key-hunter3")
    monkeypatch.setenv("DRAVO_META_GRAPH_URL", "https://graph.example/v25.0")
    monkeypatch.setenv("DRAVO_FRESHNESS", "often")

    lines = mistakes("database_url", "redis_url")

    assert [line.split(":")[0] for line in lines] == [
        "DRAVO_DATABASE_URL",
        "DRAVO_FRESHNESS",
        "DRAVO_LEASE_SECONDS",
        "DRAVO_META_GRAPH_URL",
        "DRAVO_REDIS_URL",
        "DRAVO_SECRET_KEYS",
    ]
    assert not any(value in "".join(lines) for value in ("hunter2", "hunter3", "7f3a", "often"))


def test_missing_required_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAVO_REDIS_URL", "")

    assert mistakes("redis_url") == ["DRAVO_REDIS_URL: is required and not set"]


def test_repr_of_settings_contains_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    key = new_key()
    monkeypatch.setenv("DRAVO_DATABASE_URL", "postgres://u:hunter2@localhost/d")
    monkeypatch.setenv("DRAVO_SECRET_KEYS", f"{key}, {new_key()}")

    settings = load("database_url")

    assert settings.database == "postgresql+psycopg://u:hunter2@localhost/d"
    assert len(settings.secret_keys) == 2
    assert "hunter2" not in repr(settings)
    assert key not in repr(settings)


def test_default_delay_before_a_missing_post_is_confirmed_follows_the_contract(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert load().missing_confirm(Platform.X) == timedelta(hours=1)
    assert load().missing_confirm(Platform.TIKTOK) == timedelta(days=1)
    monkeypatch.setenv("DRAVO_MISSING_CONFIRM_SECONDS", "5")
    assert load().missing_confirm(Platform.TIKTOK) == timedelta(seconds=5)


@pytest.mark.parametrize(
    ("name", "short", "long"),
    [("INTERNAL_TOKEN", 15, 16), ("OPS_TOKEN", 15, 16), ("JWT_SECRET", 31, 32)],
)
def test_short_secret_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, short: int, long: int
) -> None:
    monkeypatch.setenv(f"DRAVO_{name}", "s" * short)
    (line,) = mistakes()
    assert line.startswith(f"DRAVO_{name}: must have at least {long} ")
    assert "sss" not in line

    monkeypatch.setenv(f"DRAVO_{name}", "s" * long)
    assert load()
