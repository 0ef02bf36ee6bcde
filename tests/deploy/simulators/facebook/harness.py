"""A page and requests for the tests of the simulated Page API."""

import json
from typing import Any

import httpx

from deploy.simulators.world import Account
from tests.deploy.simulators.example import NOW

TOKEN = "EAApage-token"
SCOPES = frozenset({"read_insights", "pages_read_engagement"})
PAGE = Account("facebook", "1000", TOKEN, name="Dravo", scopes=SCOPES, minted_at=NOW)
METRICS = "post_clicks,post_reactions_by_type_total"


def insights(client: httpx.Client, post: str = "1000_2000", metrics: str = METRICS) -> httpx.Response:
    """Ask for insights of a post."""
    return client.get(f"/{post}/insights", params={"metric": metrics})


def values(response: httpx.Response) -> dict[str, Any]:
    """Return the values of insights, by metric."""
    return {row["name"]: row["values"][0]["value"] for row in response.json()["data"]}


def refusal(response: httpx.Response) -> tuple[int, int | None, int | None]:
    """Return status, code and subcode of a refusal."""
    error = response.json()["error"]
    assert error["fbtrace_id"]
    return response.status_code, error.get("code"), error.get("error_subcode")


def batch(client: httpx.Client, urls: list[str], **form: str) -> httpx.Response:
    """Send a batch of GETs."""
    items = json.dumps([{"method": "GET", "relative_url": url} for url in urls])
    return client.post("/", data={"include_headers": "false", "batch": items, **form})
