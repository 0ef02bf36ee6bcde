"""The OAuth 2.0 token renewal that X, LinkedIn and TikTok share: RFC 6749, sections 5.1, 5.2 and 6.

The differences (host, client authentication, names) are in each platform's adapter.
"""

import re
from datetime import datetime, timedelta
from typing import TypeGuard

from pydantic import SecretStr

from shared.vocabulary import BucketKind
from worker.adapters import untrusted
from worker.adapters.contract import Response
from worker.errors import Misconfigured, Paused, Reauthorize, RefreshError, TryAgain
from worker.readings import Account, Tokens

LIMIT_PAUSE = timedelta(minutes=1)
MAX_LIFE = timedelta(days=3660)
TOKEN = re.compile(r"[\x21-\x7e]{1,4096}")
"""Any other text could not be sent in a header."""
TRANSIENT_CODES = frozenset({"server_error", "temporarily_unavailable"})
"""Error codes of transient errors; TikTok sends them with status 400 and 200."""
DEAD_TOKEN = re.compile(r"token\b.*\b(invalid|expired|revoked)", re.IGNORECASE | re.DOTALL)


def refresh_form(account: Account, reconnect: str) -> dict[str, str]:
    """Return a renewal's form without the client. Raises `Reauthorize` where no refresh token is stored."""
    if account.refresh_token is None or not account.refresh_token.get_secret_value():
        raise Reauthorize(reconnect)
    return {"grant_type": "refresh_token", "refresh_token": account.refresh_token.get_secret_value()}


def setting(value: SecretStr | str | None, variable: str) -> str:
    """Return a setting that renewal needs. Raises `worker.errors.Misconfigured` when it is not set."""
    plain = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not plain:
        raise Misconfigured(f"{variable} is not set, so tokens cannot be renewed.")
    return plain


def tokens_of(
    response: Response, *, endpoint: str, reconnect: str, refresh_life: str = "refresh_token_expires_in"
) -> Tokens:
    """Return the tokens of an answer, or raise the error of a refusal; ``reconnect`` is its sentence.

    ``refresh_life`` names the field with the refresh token's lifetime in seconds, which the RFC does not
    define. The content decides whether an answer is a success: TikTok's refusals may have status 200.
    """
    answer = untrusted.body_of(response)
    access_token, refresh_token, scope = (
        answer.get(name) for name in ("access_token", "refresh_token", "scope")
    )
    if not untrusted.succeeded(response) or not is_token(access_token):
        raise _refusal(response, endpoint, reconnect)
    return Tokens(
        access_token=SecretStr(access_token),
        expires_at=_ends_at(response, answer.get("expires_in")),
        refresh_token=SecretStr(refresh_token) if is_token(refresh_token) else None,
        refresh_token_expires_at=_ends_at(response, answer.get(refresh_life)),
        scopes=frozenset(re.findall(r"[^\s,]+", scope)) if isinstance(scope, str) and scope else None,
    )


def _refusal(response: Response, endpoint: str, reconnect: str) -> RefreshError:
    status, body = response.status, untrusted.body_of(response)
    code = body.get("error")
    if status == 429:
        until = response.received_at + (untrusted.retry_after(response) or LIMIT_PAUSE)
        sentence = "The limit of token renewals is reached."
        return Paused(sentence, kind=BucketKind.ENDPOINT, endpoint=endpoint, until=until)
    transient = isinstance(code, str) and code in TRANSIENT_CODES
    if status >= 500 or transient or (untrusted.succeeded(response) and not isinstance(code, str)):
        return TryAgain("The token endpoint gave no readable answer.", breaks=status >= 500)
    # X and LinkedIn answer invalid_request for a dead refresh token, as for a malformed call of ours.
    dead = code == "invalid_request" and DEAD_TOKEN.search(str(body.get("error_description")))
    if dead or code == "invalid_grant":
        return Reauthorize(reconnect)
    return Misconfigured(f"The token endpoint refused our application's call with status {status}.")


def is_token(value: object) -> TypeGuard[str]:
    """Return whether a value can be sent as a token."""
    return isinstance(value, str) and TOKEN.fullmatch(value) is not None


def _ends_at(response: Response, seconds: object) -> datetime | None:
    if not untrusted.is_count(seconds) or not 0 < seconds <= MAX_LIFE.total_seconds():
        return None
    return response.received_at + timedelta(seconds=seconds)
