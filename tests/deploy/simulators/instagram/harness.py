"""Two accounts, one of each login, and requests for them."""

from datetime import timedelta
from typing import Any

import httpx

from deploy.simulators.world import Account
from tests.deploy.simulators.example import NOW

KEYS = "views,reach,likes,comments,shares,saved,total_interactions"
LOGIN = Account(
    "instagram",
    "17841400000000001",
    "IGAAtoken",
    login="instagram",
    name="dravo",
    minted_at=NOW,
    scopes=frozenset({"instagram_business_basic", "instagram_business_manage_insights"}),
    access_token_expires_at=NOW + timedelta(days=60),
)
BUSINESS = Account(
    "instagram",
    "17841400000000002",
    "EAAuser",
    login="facebook",
    name="dravo",
    minted_at=NOW,
    scopes=frozenset({"instagram_basic", "instagram_manage_insights", "pages_read_engagement"}),
)
COUNTERS = {
    "views": 2257,
    "reach": 1408,
    "likes": 76,
    "comments": 23,
    "shares": 15,
    "saved": 2,
    "total_interactions": 119,
}
FEED, REEL, STORY = "17900000000000100", "17900000000000101", "17900000000000102"
BUSINESS_FEED = "17900000000000200"


def insights(client: httpx.Client, media: str = FEED, metrics: str = KEYS) -> httpx.Response:
    """Ask for insights of a medium."""
    return client.get(f"/{media}/insights", params={"metric": metrics})


def values(response: httpx.Response) -> dict[str, Any]:
    """Return the values of insights, by metric."""
    return {row["name"]: row["values"][0]["value"] for row in response.json()["data"]}


def refusal(response: httpx.Response) -> tuple[int, int | None, int | None]:
    """Return status, code and subcode of a refusal."""
    error = response.json()["error"]
    return response.status_code, error.get("code"), error.get("error_subcode")
