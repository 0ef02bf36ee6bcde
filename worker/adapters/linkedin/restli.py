"""LinkedIn's Rest.li 2.0 protocol, for statistics and posts: encoding, calls, and the error table.

In a list each URN is percent-encoded while ``List(``, commas and ``)`` stay literal, which no usual encoder
does. The version header is mandatory; a version is refused with a 426 a year after its month; 202610 is the
newest one in public use. Limits are daily and end at 00:00 UTC, and no header reports them. The error 65601
("revoked") also occurs for tokens that were renewed seconds ago: the account is paused shortly then, once.

https://linkedin.github.io/rest.li/spec/protocol
https://learn.microsoft.com/en-us/linkedin/marketing/versioning
https://learn.microsoft.com/en-us/linkedin/shared/api-guide/concepts/error-handling
https://learn.microsoft.com/en-us/linkedin/shared/api-guide/concepts/rate-limits
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote

from shared.settings import Settings
from shared.vocabulary import BucketKind
from worker.adapters import untrusted
from worker.adapters.contract import Response, Upstream
from worker.errors import Misconfigured, Paused, Reauthorize, RefreshError, TryAgain
from worker.readings import Account

STATISTICS, ANALYTICS, POSTS = "organizationalEntityShareStatistics", "memberCreatorPostAnalytics", "posts"
SCOPES = {
    STATISTICS: "rw_organization_admin",
    ANALYTICS: "r_member_postAnalytics",
    POSTS: "r_organization_social",
}
RECONNECT = "LinkedIn no longer accepts this account's authorization: reconnect the account."
REVOKED, TOKEN_UNSEEN = 65601, 401
RENEWED_TOKEN_AGE = timedelta(seconds=60)
RENEWED_TOKEN_PAUSE = timedelta(seconds=8)
LIMIT_PAUSE = timedelta(seconds=90)
MIDNIGHT_JITTER_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class RestLi:
    """The calls of one job to the API."""

    settings: Settings
    upstream: Upstream
    account: Account

    def get(
        self, endpoint: str, query: str, tolerated: Sequence[int] = ()
    ) -> tuple[int, Mapping[str, object]]:
        """Return status and body of a success or of a tolerated refusal. Raises the error of any other."""
        headers = {
            "Authorization": f"Bearer {self.account.access_token.get_secret_value()}",
            "LinkedIn-Version": self.settings.linkedin_version,
            "X-Restli-Protocol-Version": "2.0.0",
        }
        if endpoint == POSTS:
            headers["X-RestLi-Method"] = "BATCH_GET"
        url = f"{self.settings.linkedin_api_url}/rest/{endpoint}?{query}"
        response = self.upstream.send("GET", url, endpoint=endpoint, headers=headers)
        if untrusted.succeeded(response):
            return response.status, untrusted.readable(response)
        if response.status in tolerated:
            return response.status, untrusted.body_of(response)
        raise _refusal(response, self.account, endpoint)


def encoded(urn: str) -> str:
    """Return a URN as a value of a query."""
    return quote(urn, safe="")


def listed(urns: Sequence[str]) -> str:
    """Return URNs as a list in a query."""
    return f"List({','.join(encoded(urn) for urn in urns)})"


def is_ill_formed(status: int, body: Mapping[str, object]) -> bool:
    """Return whether a refusal concerns the form of the call; LinkedIn uses 400 and 403 for that."""
    return status == 400 or "Unpermitted fields" in str(body.get("message"))


def forbidden(account: Account, endpoint: str) -> Reauthorize:
    """Return the error of a 403 that concerns the whole account: a missing scope or role."""
    scope = SCOPES[endpoint]
    if endpoint == STATISTICS and scope in account.scopes:
        sentence = "The person who connected this page is no longer its administrator, or our access ended"
        return Reauthorize(
            f"{sentence}: reconnect the page as an administrator.",
            missing_scope=f"{scope} (page role ADMINISTRATOR)",
        )
    sentence = f"This account's authorization lacks {scope}: reconnect the account and grant it."
    return Reauthorize(sentence, missing_scope=scope)


def _refusal(response: Response, account: Account, endpoint: str) -> RefreshError:
    """Return the error of a refused call, by LinkedIn's codes where there are any."""
    status, body = response.status, untrusted.body_of(response)
    if status == 429:
        return _throttled(response, str(body.get("message")), endpoint)
    if status >= 500:
        return TryAgain(f"LinkedIn answered with status {status}.", breaks=True)
    if status == 401:
        return _unauthorized(response, account, body)
    if status == 403 and not is_ill_formed(status, body):
        return forbidden(account, endpoint)
    if status == 426:
        sentence = "LinkedIn no longer serves the API version in DRAVO_LINKEDIN_VERSION."
        return Misconfigured(sentence, application=True)
    return Misconfigured(f"LinkedIn refused our application's call with status {status}.")


def _throttled(response: Response, message: str, endpoint: str) -> Paused:
    """Return a short pause, because a 429 may be a short-term throttle.

    When the first call after that is refused as well, it is the daily limit. A wait that LinkedIn itself
    states is used each time.
    """
    now = response.received_at
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    jitter = timedelta(seconds=random.uniform(0, MIDNIGHT_JITTER_SECONDS))  # noqa: S311 - jitter needs no secrecy
    stated_wait = untrusted.retry_after(response)
    return Paused(
        "LinkedIn's limit for this kind of call is reached.",
        kind=BucketKind.ENDPOINT if "APPLICATION" in message else BucketKind.ACCOUNT,
        endpoint=endpoint,
        until=now + (stated_wait or LIMIT_PAUSE),
        escalates_until=None if stated_wait else max(now + LIMIT_PAUSE, midnight + jitter),
    )


def _unauthorized(response: Response, account: Account, body: Mapping[str, object]) -> RefreshError:
    revoked = body.get("serviceErrorCode") == REVOKED or body.get("code") == "REVOKED_ACCESS_TOKEN"
    minted_at = account.token_minted_at
    if revoked and minted_at and response.received_at - minted_at < RENEWED_TOKEN_AGE:
        return Paused(
            "LinkedIn does not accept the renewed token yet.",
            kind=BucketKind.ACCOUNT,
            until=response.received_at + RENEWED_TOKEN_PAUSE,
            refused_again=Reauthorize(RECONNECT),
        )
    if body.get("serviceErrorCode") == TOKEN_UNSEEN and account.access_token.get_secret_value():
        return Misconfigured("LinkedIn did not see the token that we sent.")
    return Reauthorize(RECONNECT, renewable=not revoked and account.refresh_token is not None)
