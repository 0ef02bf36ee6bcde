"""The settings that make services use the simulated platforms, under their names in the environment."""

from collections.abc import Mapping
from typing import Final

from deploy.simulators.linkedin import oauth as linkedin
from deploy.simulators.tiktok import oauth as tiktok
from deploy.simulators.x import oauth as x

URL_SETTINGS: Final = {
    "DRAVO_META_GRAPH_URL": "meta_graph",
    "DRAVO_INSTAGRAM_GRAPH_URL": "instagram_graph",
    "DRAVO_X_API_URL": "x",
    "DRAVO_LINKEDIN_API_URL": "linkedin",
    "DRAVO_LINKEDIN_OAUTH_URL": "linkedin_oauth",
    "DRAVO_TIKTOK_API_URL": "tiktok",
}
"""Which host of `deploy.simulators.server.HOSTS` each setting points at."""

CREDENTIALS: Final = {
    "DRAVO_X_CLIENT_ID": x.CLIENT_ID,
    "DRAVO_X_CLIENT_SECRET": x.CLIENT_SECRET,
    "DRAVO_LINKEDIN_CLIENT_ID": linkedin.CLIENT_ID,
    "DRAVO_LINKEDIN_CLIENT_SECRET": linkedin.CLIENT_SECRET,
    "DRAVO_TIKTOK_CLIENT_KEY": tiktok.CLIENT_KEY,
    "DRAVO_TIKTOK_CLIENT_SECRET": tiktok.CLIENT_SECRET,
}
"""The applications that the simulated platforms know. Meta's are added by the control host."""


def environment(urls: Mapping[str, str]) -> dict[str, str]:
    """Return the settings for simulated platforms at these URLs, by host."""
    return {name: urls[host] for name, host in URL_SETTINGS.items()} | CREDENTIALS
