"""The token endpoints of the simulated X: OAuth 2.0 refresh and revocation.

https://docs.x.com/fundamentals/authentication/oauth-2-0/user-access-token. Access tokens live two hours.
Refresh tokens are single-use; reusing one is a 400 and revokes every token of its family.
"""

import base64
from datetime import timedelta

import httpx

from deploy.simulators.refusal import RefusedError, form_of, is_over
from deploy.simulators.world import Account, World
from deploy.simulators.x.answers import oauth_error

CLIENT_ID = "simulated-x-client"
CLIENT_SECRET = "simulated-x-client-secret"

ACCESS_LIFE = timedelta(hours=2)
REFRESH_LIFE = timedelta(days=183)


class Tokens:
    """Refreshes and revokes tokens. `client_secret=None`: a public client, which sends its id in the body."""

    def __init__(self, world: World, client_secret: str | None) -> None:
        self._world = world
        self._client_secret = client_secret

    def refresh(self, request: httpx.Request) -> httpx.Response:
        """Answer `POST /2/oauth2/token`."""
        form = self._client_form(request)
        if form.get("grant_type") != "refresh_token":
            raise RefusedError(
                oauth_error("unsupported_grant_type", "Value passed for grant_type was invalid.")
            )
        account = self._rotate(form.get("refresh_token", ""))
        answer = {
            "token_type": "bearer",
            "expires_in": int(ACCESS_LIFE.total_seconds()),
            "access_token": account.access_token,
            "refresh_token": account.refresh_token,
            "scope": " ".join(sorted(account.scopes)),
        }
        return httpx.Response(200, json=answer)

    def revoke(self, request: httpx.Request) -> httpx.Response:
        """Answer `POST /2/oauth2/revoke`."""
        value = self._client_form(request).get("token", "")
        with self._world.lock:
            account = self._world.holder(value, "x") or self._world.refresh_token_holder("x", value)
            if account is not None:
                self._world.revoke("x", account.platform_account_id)
        return httpx.Response(200, json={"revoked": True})

    def _rotate(self, refresh_token: str) -> Account:
        with self._world.lock:
            account = self._world.refresh_token_holder("x", refresh_token)
            victim = self._world.spent_refresh_token_holder("x", refresh_token)
            if account is None and victim is not None:
                self._world.revoke("x", victim.platform_account_id)
            if (
                account is None
                or account.revoked
                or is_over(account.refresh_token_expires_at, self._world.now())
            ):
                raise RefusedError(oauth_error("invalid_request", "Value passed for the token was invalid."))
            return self._world.rotate(
                account, access_life=ACCESS_LIFE, refresh_life=REFRESH_LIFE, new_refresh_token=True
            )

    def _client_form(self, request: httpx.Request) -> httpx.QueryParams:
        """Return the form of a request whose client is authenticated, or refuse it."""
        form = form_of(request)
        if form is None:
            raise RefusedError(oauth_error("invalid_request", "Missing required parameter [grant_type]."))
        if self._client_secret is None:
            known = form.get("client_id") == CLIENT_ID
        else:
            pair = base64.b64encode(f"{CLIENT_ID}:{self._client_secret}".encode()).decode()
            known = request.headers.get("authorization") == f"Basic {pair}"
        if not known:
            raise RefusedError(oauth_error("unauthorized_client", "Missing valid authorization header", 401))
        return form
