"""The token endpoint of the simulated TikTok.

https://developers.tiktok.com/docs/en/oauth-refresh-a-user-access-token and doc/oauth-error-handling. Access
tokens live two hours, refresh tokens 180 days; each refresh replaces the refresh token, and the former one
becomes invalid. Errors have an envelope of their own, with the code at the top level.
"""

import secrets
from datetime import UTC, datetime, timedelta

import httpx

from deploy.simulators.refusal import form_of, is_over
from deploy.simulators.world import World

CLIENT_KEY = "simulated-tiktok-client"
CLIENT_SECRET = "simulated-tiktok-client-secret"

ACCESS_LIFE = timedelta(hours=2)
REFRESH_LIFE = timedelta(days=180)


class Tokens:
    """Refreshes tokens. The client authenticates in the form, by `client_key`, not by Basic authorization."""

    def __init__(self, world: World, access_life: timedelta) -> None:
        self._world = world
        self._access_life = access_life

    def refresh(self, request: httpx.Request) -> httpx.Response:
        """Answer `POST /v2/oauth/token/`."""
        form = form_of(request)
        if form is None:
            return self._error("invalid_request", "Only application/x-www-form-urlencoded is supported.")
        if form.get("client_key") != CLIENT_KEY or form.get("client_secret") != CLIENT_SECRET:
            return self._error("invalid_client", "Client key or secret is incorrect.", 401)
        if form.get("grant_type") != "refresh_token":
            return self._error("unsupported_grant_type", "Grant type is not supported.")
        with self._world.lock:
            account = self._world.refresh_token_holder("tiktok", form.get("refresh_token", ""))
            if (
                account is None
                or account.revoked
                or is_over(account.refresh_token_expires_at, self._world.now())
            ):
                return self._error("invalid_grant", "Refresh token is invalid or expired.")
            account = self._world.rotate(
                account, access_life=self._access_life, refresh_life=REFRESH_LIFE, new_refresh_token=True
            )
        answer = {
            "access_token": account.access_token,
            "expires_in": int(self._access_life.total_seconds()),
            "open_id": account.platform_account_id,
            "refresh_expires_in": int(REFRESH_LIFE.total_seconds()),
            "refresh_token": account.refresh_token,
            "scope": ",".join(sorted(account.scopes)),
            "token_type": "Bearer",
        }
        return httpx.Response(200, json=answer)

    def _error(self, error: str, description: str, status: int = 400) -> httpx.Response:
        body = {"error": error, "error_description": description, "log_id": log_id(self._world.now())}
        return httpx.Response(status, json=body)


def log_id(now: datetime) -> str:
    """Return a new log id, which TikTok's support asks for."""
    return f"{now.astimezone(UTC):%Y%m%d%H%M%S}{secrets.token_hex(9).upper()}"
