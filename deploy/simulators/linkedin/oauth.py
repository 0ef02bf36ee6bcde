"""The token endpoint of the simulated LinkedIn, on its own host.

https://learn.microsoft.com/en-us/linkedin/shared/authentication/programmatic-refresh-tokens. Access tokens
live 60 days. A refresh token stays the same and expires a year after it was first issued: using it does not
extend it.
"""

from datetime import timedelta

import httpx

from deploy.simulators.refusal import form_of, is_over
from deploy.simulators.world import Account, World

CLIENT_ID = "simulated-linkedin-client"
CLIENT_SECRET = "simulated-linkedin-client-secret"

ACCESS_LIFE = timedelta(days=60)
REFRESH_LIFE = timedelta(days=365)


class Tokens:
    """Refreshes tokens. The client authenticates in the form; Basic authorization is ignored."""

    def __init__(self, world: World) -> None:
        self._world = world

    def refresh(self, request: httpx.Request) -> httpx.Response:
        """Answer `POST /oauth/v2/accessToken`."""
        form = form_of(request)
        if form is None:
            return _error("invalid_request", "Content-Type must be application/x-www-form-urlencoded")
        for name in ("grant_type", "refresh_token", "client_id", "client_secret"):
            if not form.get(name):
                return _error("invalid_request", f'A required parameter "{name}" is missing')
        if form["client_id"] != CLIENT_ID or form["client_secret"] != CLIENT_SECRET:
            return _error("invalid_client", "Client authentication failed", 401)
        if form["grant_type"] != "refresh_token":
            return _error("unsupported_grant_type", "The grant type is not supported")
        with self._world.lock:
            account = self._world.refresh_token_holder("linkedin", form["refresh_token"])
            if (
                account is None
                or account.revoked
                or is_over(account.refresh_token_expires_at, self._world.now())
            ):
                # The vendor documents no error for this case.
                return _error("invalid_grant", "The refresh token is invalid, expired or revoked")
            return self._answer(self._mint(account))

    def _mint(self, account: Account) -> Account:
        """Issue a token for the member, and so for every page of the same consent."""
        now = self._world.now()
        pages = [
            page
            for page in self._world.holders(account.access_token, "linkedin")
            if page.refresh_token == account.refresh_token
        ]
        minted = self._world.rotate(account, access_life=ACCESS_LIFE)
        for page in pages:
            self._world.change_account(
                "linkedin",
                page.platform_account_id,
                access_token=minted.access_token,
                access_token_expires_at=minted.access_token_expires_at,
                minted_at=now,
            )
        return minted

    def _answer(self, account: Account) -> httpx.Response:
        ends_at = account.refresh_token_expires_at
        left = ends_at - self._world.now() if ends_at else REFRESH_LIFE
        answer = {
            "access_token": account.access_token,
            "expires_in": int(ACCESS_LIFE.total_seconds()),
            "refresh_token": account.refresh_token,
            "refresh_token_expires_in": int(left.total_seconds()),
            "scope": ",".join(sorted(account.scopes)),
        }
        return httpx.Response(200, json=answer)


def _error(code: str, description: str, status: int = 400) -> httpx.Response:
    return httpx.Response(status, json={"error": code, "error_description": description})
