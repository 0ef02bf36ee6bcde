"""OAuth 2.0 renewal as X, LinkedIn and TikTok share it: RFC 6749, sections 5.1, 5.2 and 6.

What differs (host, client authentication, names) is in each platform's adapter.
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
"""Everything else could not travel in a header."""
PASSING = frozenset({"server_error", "temporarily_unavailable"})
"""Error codes of troubles that pass by themselves; TikTok sends them with status 400 and 200."""
DEAD_TOKEN = re.compile(r"token\b.*\b(invalid|expired|revoked)", re.IGNORECASE | re.DOTALL)


def refresh_form(account: Account, reconnect: str) -> dict[str, str]:
    """Return a renewal's form without its client. Raises `Reauthorize` where no refresh token is held."""
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
    """Return the tokens of an answer, or raise what a refusal means; ``reconnect`` advises the owner then.

    ``refresh_life`` names the seconds that the refresh token lives, which the RFC does not know. An answer
    counts as a success by what it holds: TikTok's refusals may come with status 200.
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
    passing = isinstance(code, str) and code in PASSING
    if status >= 500 or passing or (untrusted.succeeded(response) and not isinstance(code, str)):
        return TryAgain("The token endpoint gave no readable answer.", breaks=status >= 500)
    # X and LinkedIn call a dead refresh token an invalid_request, like a malformed call of ours.
    dead = code == "invalid_request" and DEAD_TOKEN.search(str(body.get("error_description")))
    if dead or code == "invalid_grant":
        return Reauthorize(reconnect)
    return Misconfigured(f"The token endpoint refused our application's call with status {status}.")


def is_token(value: object) -> TypeGuard[str]:
    """Tell whether a value can be sent as a token."""
    return isinstance(value, str) and TOKEN.fullmatch(value) is not None


def _ends_at(response: Response, seconds: object) -> datetime | None:
    if not untrusted.is_count(seconds) or not 0 < seconds <= MAX_LIFE.total_seconds():
        return None
    return response.received_at + timedelta(seconds=seconds)
