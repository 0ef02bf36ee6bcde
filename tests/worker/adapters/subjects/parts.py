"""What subjects are made of: settings, accounts, and the ways to be refused."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

from deploy.simulators.environment import CREDENTIALS, URL_SETTINGS
from deploy.simulators.world import Account
from shared.settings import Settings
from shared.vocabulary import BucketKind, Platform
from tests.worker.adapters.harness import Refusal

NOW: Final = datetime.now(UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
APP_ID, APP_SECRET = "1234567890", "meta-app-secret-0123456789abcdef"


def settings(urls: Mapping[str, str], **others: Any) -> Settings:
    """Return settings for simulated platforms at these URLs, with our applications' credentials."""
    hosts = {_field(name): urls[host] for name, host in URL_SETTINGS.items()}
    return _credentials(tuple(others.items())).model_copy(update=hosts)


@cache
def _credentials(others: tuple[tuple[str, Any], ...]) -> Settings:
    """Return settings without URLs. To read the environment takes longer than most tests."""
    meta: dict[str, Any] = {"meta_app_id": APP_ID, "meta_app_secret": APP_SECRET}
    known = {_field(name): value for name, value in CREDENTIALS.items()}
    return Settings(**(meta | known | dict(others)))


def _field(name: str) -> str:
    return name.removeprefix("DRAVO_").lower()


def account(platform: Platform, platform_account_id: str, token: str, **others: Any) -> Account:
    """Return a simulated account that was connected two days ago."""
    values: dict[str, Any] = {
        "access_token_expires_at": NOW + 30 * DAY,
        "minted_at": NOW - 2 * DAY,
        "name": "Dravo",
    }
    return Account(platform.value, platform_account_id, token, **(values | others))


def used_up(label: str, bucket: str, kind: BucketKind, *, sliding: bool, **others: Any) -> Refusal:
    """Return the refusal after the one good read that the suite begins with."""
    limit = {"calls": 1, "seconds": 86_400 if not sliding else 60, "sliding": sliding}
    return Refusal(label, {"limits": {bucket: limit}, **others}, kind)


def answered(label: str, kind: BucketKind, status: int, text: str, **headers: str) -> Refusal:
    """Return a refusal that the platform is known to send, word by word."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    fault = {"times": None, "status": status, "text": text, "headers": named}
    return Refusal(label, {"faults": [fault]}, kind)
