"""What subjects are made of: settings, accounts, and the ways to be refused."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from deploy.simulators.linkedin import oauth as linkedin_oauth
from deploy.simulators.tiktok import oauth as tiktok_oauth
from deploy.simulators.world import Account
from deploy.simulators.x import oauth as x_oauth
from shared.settings import Settings
from shared.vocabulary import BucketKind, Platform
from tests.worker.adapters.harness import Refusal

NOW: Final = datetime.now(UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
APP_ID, APP_SECRET = "1234567890", "meta-app-secret-0123456789abcdef"
URLS: Final = {
    "meta_graph": "meta_graph_url",
    "instagram_graph": "instagram_graph_url",
    "x": "x_api_url",
    "linkedin": "linkedin_api_url",
    "linkedin_oauth": "linkedin_oauth_url",
    "tiktok": "tiktok_api_url",
}


def settings(urls: Mapping[str, str], **others: Any) -> Settings:
    """Return settings for simulated platforms at these URLs, with our applications' credentials."""
    values: dict[str, Any] = {
        "meta_app_id": APP_ID,
        "meta_app_secret": APP_SECRET,
        "x_client_id": x_oauth.CLIENT_ID,
        "x_client_secret": x_oauth.CLIENT_SECRET,
        "linkedin_client_id": linkedin_oauth.CLIENT_ID,
        "linkedin_client_secret": linkedin_oauth.CLIENT_SECRET,
        "tiktok_client_key": tiktok_oauth.CLIENT_KEY,
        "tiktok_client_secret": tiktok_oauth.CLIENT_SECRET,
    }
    hosts = {setting: urls[host] for host, setting in URLS.items()}
    return Settings(**(values | hosts | others))


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
