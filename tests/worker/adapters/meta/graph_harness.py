"""Calls to a Graph host, and errors in its format."""

from typing import Any

from pydantic import SecretStr

from shared.vocabulary import Platform
from tests.worker.adapters.support import account
from worker.adapters.meta.graph import Graph

OWN = "1000"
TOKEN = "EAAtesttoken123"


def graph(way: Any, **changes: Any) -> Graph:
    """Return the calls of a job over ``way``, with ``changes``."""
    values: dict[str, Any] = {
        "upstream": way,
        "account": account(Platform.FACEBOOK, platform_account_id=OWN, access_token=SecretStr(TOKEN)),
        "platform": "Facebook",
        "host": "https://graph.facebook.com",
        "version": "v25.0",
        "product": "pages",
        "scopes": ("read_insights",),
        "facebook_login": True,
        "app_secret": None,
        "near_limit_percent": 80,
    }
    return Graph(**(values | changes))


def error(code: int | None, message: str = "", **more: Any) -> dict[str, Any]:
    """Return Meta's error envelope."""
    return {"error": {"code": code, "message": message, "type": "OAuthException", **more}}
