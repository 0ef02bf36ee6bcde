"""Who is calling: an API key or a dashboard token, each bound to one workspace."""

import hmac
from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr
from starlette.requests import Request

from api_stub.auth.api_keys import Keys
from api_stub.auth.dashboard_tokens import Tokens
from api_stub.http.errors import unauthorized
from shared.accounts.api_keys import PREFIX, looks_like_key

_LONGEST_TOKEN: Final = 8_192


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever asks, and the workspace that this is all about."""

    workspace_id: str
    subject: str
    """Whose rate limit this counts against: the key, or the workspace's dashboards."""


class Authenticator:
    """Turns the ``Authorization`` header into a `Caller`, or refuses without telling why."""

    def __init__(self, keys: Keys, tokens: Tokens | None) -> None:
        self._keys = keys
        self._tokens = tokens

    async def caller(self, request: Request) -> Caller:
        """Return the caller of a request. Raises `ApiError` (401, or 503 when keys cannot be looked up)."""
        credential = bearer(request)
        if credential.startswith(PREFIX):
            found = await self._keys.find(credential) if looks_like_key(credential) else None
            if found is None:
                raise unauthorized()
            key_id, workspace_id = found
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
    """Raise `ApiError` (401) unless the request bears the service token, compared in constant time."""
    given = bearer(request)
    if expected is None or not hmac.compare_digest(given.encode(), expected.get_secret_value().encode()):
        raise unauthorized()
