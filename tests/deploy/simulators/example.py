"""A Facebook page with one post, the example of the simulators' own tests."""

from datetime import UTC, datetime

import httpx

from deploy.simulators.world import Account, Post

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SCOPES = frozenset({"read_insights", "pages_read_engagement"})
PAGE = Account("facebook", "1000", "EAApage-token", name="Dravo", scopes=SCOPES)
POST = Post("facebook", "1000_2000", "1000", NOW, counters={"post_clicks": 41})
URL = "/v25.0/1000_2000/insights?metric=post_clicks"


def port_of(url: str) -> int:
    """Return the port of a URL."""
    return httpx.URL(url).port or 0
