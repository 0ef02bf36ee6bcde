"""Renewal of Instagram Login's tokens: from the age of 24 hours until they end.

https://developers.facebook.com/docs/instagram-platform/reference/refresh_access_token
"""

from datetime import timedelta
from typing import Final

from pydantic import SecretStr

from worker.adapters.meta.errors import GraphAnswer
from worker.adapters.meta.graph import Graph
from worker.adapters.meta.readings import count
from worker.adapters.oauth import is_token
from worker.errors import Misconfigured, Reauthorize, TryAgain
from worker.readings import Tokens

MIN_TOKEN_AGE: Final = timedelta(hours=24)
MAX_TOKEN_SECONDS: Final = 366 * 86_400
RENEWAL: Final = "refresh_access_token"


def renew_token(graph: Graph) -> Tokens:
    """Return a new token, perhaps the same string with a later expiry. Raises `TryAgain` without one."""
    account, upstream = graph.account, graph.upstream
    age = upstream.now() - account.token_minted_at if account.token_minted_at else MIN_TOKEN_AGE
    if age < MIN_TOKEN_AGE:
        raise TryAgain("Instagram renews a token from the age of 24 hours.", after=MIN_TOKEN_AGE - age)
    query = {"grant_type": "ig_refresh_token"}
    body: GraphAnswer
    try:
        body = graph.get(RENEWAL, query, endpoint="token")
    except (Reauthorize, Misconfigured):
        body = None
    if not isinstance(body, dict):
        # Only the parameter is documented here, so it is used where the header is refused.
        query["access_token"] = account.access_token.get_secret_value()
        body = graph.get(RENEWAL, query, endpoint="token")
    token = body.get("access_token") if isinstance(body, dict) else None
    if not isinstance(body, dict) or not is_token(token):
        raise TryAgain("Instagram did not renew the token.", after=timedelta(days=1))
    seconds = count(body.get("expires_in"))
    life = timedelta(seconds=seconds) if seconds and seconds <= MAX_TOKEN_SECONDS else None
    return Tokens(SecretStr(token), expires_at=upstream.now() + life if life else None)
