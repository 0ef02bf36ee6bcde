"""The endpoints that renew, exchange and inspect Meta's tokens.

https://developers.facebook.com/docs/instagram-platform/reference/refresh_access_token
https://developers.facebook.com/docs/facebook-login/guides/access-tokens/get-long-lived
https://developers.facebook.com/docs/graph-api/reference/debug_token
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from deploy.simulators.meta import errors
from deploy.simulators.meta.call import Call, authorize
from deploy.simulators.meta.errors import INSTAGRAM_HOST, GraphError
from deploy.simulators.world import Account, World

FACEBOOK_HOST = "graph.facebook.com"
LONG_LIFE = timedelta(days=60)
RENEWABLE_AFTER = timedelta(hours=24)
DATA_ACCESS_LIFE = timedelta(days=90)


def _refresh_instagram(world: World, call: Call) -> dict[str, Any]:
    """Renew a long-lived Instagram token that is at least 24 h old; the string may stay the same."""
    if call.version or call.parameters.get("grant_type") != "ig_refresh_token":
        raise GraphError(100, "Invalid parameter")
    account = authorize(world, call, "instagram")[0]
    if account.minted_at is not None and world.now() - account.minted_at < RENEWABLE_AFTER:
        # The vendor documents the rule, but not the error; it must not look like an invalid token.
        raise GraphError(100, "The access token is less than 24 hours old and cannot be refreshed yet")
    return _granted(_renewed(world, account))


def _exchange_instagram(world: World, call: Call) -> dict[str, Any]:
    """Exchange a short-lived Instagram token for a long-lived one."""
    if call.parameters.get("grant_type") != "ig_exchange_token":
        raise GraphError(100, "Invalid parameter")
    application = world.applications.get("instagram")
    _check_secret(call, application.client_secret if application else None)
    return _granted(_renewed(world, authorize(world, call, "instagram")[0]))


def _exchange_facebook(world: World, call: Call) -> dict[str, Any]:
    """Exchange a live user token for a long-lived one."""
    if call.parameters.get("grant_type") != "fb_exchange_token" or not call.parameters.get("client_id"):
        raise GraphError(100, "Invalid parameter")
    application = world.applications.get("meta")
    if application and call.parameters["client_id"] != application.client_id:
        raise GraphError(101, "Error validating application.")
    _check_secret(call, application.client_secret if application else None)
    token = str(call.parameters.get("fb_exchange_token", ""))
    account = world.holder(token, "facebook", "instagram")
    if account is None or (account.platform == "instagram" and account.login == "instagram"):
        raise errors.unparsable_token()
    if refusal := _refusal(world, account):
        raise refusal
    return _granted(_renewed(world, account))


def _debug(world: World, call: Call) -> dict[str, Any]:
    """Describe a token to the app itself, which identifies itself by `app-id|app-secret`."""
    application = world.applications.get("meta")
    app_id, _, secret = str(call.token or "").partition("|")
    if not secret or (application and (app_id, secret) != (application.client_id, application.client_secret)):
        raise GraphError(190, "Invalid OAuth access token signature.", status=401, outcome="refused_auth")
    account = world.holder(str(call.parameters.get("input_token", "")), "facebook", "instagram")
    if account is None:
        error = {"code": 190, "message": "Invalid OAuth access token - Cannot parse access token"}
        return {"data": {"app_id": app_id, "is_valid": False, "error": error, "scopes": []}}
    page = account.platform == "facebook" and account.kind in (None, "page")
    minted_at = account.minted_at or world.now()
    data: dict[str, Any] = {
        "app_id": app_id,
        "type": "PAGE" if page else "USER",
        "is_valid": True,
        "expires_at": _epoch(account.access_token_expires_at),
        "data_access_expires_at": _epoch(minted_at + DATA_ACCESS_LIFE),
        "scopes": sorted(account.scopes),
        "granular_scopes": [
            {"scope": scope, "target_ids": [account.platform_account_id]} for scope in sorted(account.scopes)
        ],
        "profile_id" if page else "user_id": account.platform_account_id,
    }
    if refusal := _refusal(world, account):
        data |= {"is_valid": False, "error": refusal.envelope(call.host)["error"]}
    return {"data": data}


ENDPOINTS: dict[tuple[str, tuple[str, ...]], Callable[[World, Call], dict[str, Any]]] = {
    (INSTAGRAM_HOST, ("refresh_access_token",)): _refresh_instagram,
    (INSTAGRAM_HOST, ("access_token",)): _exchange_instagram,
    (FACEBOOK_HOST, ("oauth", "access_token")): _exchange_facebook,
    (FACEBOOK_HOST, ("debug_token",)): _debug,
}


def _check_secret(call: Call, secret: str | None) -> None:
    claimed = call.parameters.get("client_secret")
    if not claimed or (secret is not None and claimed != secret):
        raise GraphError(1, "Error validating client secret.")


def _refusal(world: World, account: Account) -> GraphError | None:
    ends_at = account.access_token_expires_at
    if account.revoked or account.role_lost:
        return errors.revoked(account.revocation)
    return errors.expired(ends_at) if ends_at is not None and ends_at <= world.now() else None


def _renewed(world: World, account: Account) -> Account:
    """Issue the next token: a new string for half of all tokens, else the same one with a new expiry."""
    another = sha256(account.access_token.encode()).digest()[0] % 2 == 0
    return world.rotate(account, access_life=LONG_LIFE, new_access_token=another, keep_former=True)


def _granted(account: Account) -> dict[str, Any]:
    return {
        "access_token": account.access_token,
        "token_type": "bearer",
        "expires_in": int(LONG_LIFE.total_seconds()),
    }


def _epoch(instant: datetime | None) -> int:
    return int(instant.timestamp()) if instant else 0
