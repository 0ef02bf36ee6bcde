"""Authentication of a request by its bearer credential: an API key, a dashboard token, the service token."""

import hmac
from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr
from starlette.requests import Request

from api_stub.auth.api_keys import ApiKeys
from api_stub.auth.dashboard_tokens import DashboardTokens
from api_stub.http.errors import unauthorized
from shared.accounts.api_keys import PREFIX, looks_like_key

_LONGEST_TOKEN: Final = 8_192


@dataclass(frozen=True, slots=True)
class Caller:
    """The authenticated client of a request, and the only workspace that it may read."""

    workspace_id: str
    subject: str
    """What the rate limit counts by: the key's id, or the workspace for its dashboard tokens."""


class Authenticator:
    """Turns the ``Authorization`` header into a `Caller`; a refusal does not say what was wrong."""

    def __init__(self, keys: ApiKeys, tokens: DashboardTokens | None) -> None:
        self._keys = keys
        self._tokens = tokens

    async def caller(self, request: Request) -> Caller:
        """Return the caller of a request. Raises `ApiError` (401, or 503 when keys cannot be looked up)."""
        credential = bearer(request)
        if credential.startswith(PREFIX):
            api_key = await self._keys.find(credential) if looks_like_key(credential) else None
            if api_key is None:
                raise unauthorized()
            key_id, workspace_id = api_key
            return Caller(workspace_id, key_id)
        if self._tokens is None:
            raise unauthorized()
        workspace_id = await self._tokens.workspace(credential)
        return Caller(workspace_id, f"dashboard of {workspace_id}")


def bearer(request: Request) -> str:
    """Return the one bearer credential of a request. Raises `ApiError` (401)."""
    headers = request.headers.getlist("authorization")
    if len(headers) != 1 or len(headers[0]) > _LONGEST_TOKEN or not headers[0].isascii():
        raise unauthorized()
    scheme, _, credential = headers[0].partition(" ")
    if scheme.lower() != "bearer" or not credential.strip():
        raise unauthorized()
    return credential.strip()


def require_service_token(request: Request, expected: SecretStr | None) -> None:
    """Raise `ApiError` (401) unless the request has the service token. Compares in constant time."""
    credential = bearer(request)
    if expected is None or not hmac.compare_digest(credential.encode(), expected.get_secret_value().encode()):
        raise unauthorized()
