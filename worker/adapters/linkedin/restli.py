"""LinkedIn's Rest.li 2.0 as both of its finders and its posts use it: encoding, calls, and the error table.

In a list each URN is percent-encoded while ``List(``, commas and ``)`` stay literal, which no usual encoder
does. The version header is mandatory; a version ends a year after its month, with a 426; 202610 is the newest
one in public use. Limits are daily and end at 00:00 UTC, and no header tells them. 65601 ("revoked") is also
said of tokens that were renewed seconds ago: the account rests for a moment then, once.

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
SETTLING = timedelta(seconds=60)
SETTLING_RETRY = timedelta(seconds=8)
LIMIT_PAUSE = timedelta(seconds=90)
MIDNIGHT_JITTER_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class RestLi:
    """One job's conversation with the API."""

    settings: Settings
    upstream: Upstream
    account: Account

    def get(
        self, endpoint: str, query: str, tolerated: Sequence[int] = ()
    ) -> tuple[int, Mapping[str, object]]:
        """Return status and body of a success or of a tolerated refusal. Raises what any other means."""
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
    """Tell whether a refusal is about the form of the call, which LinkedIn says with 400 and with 403."""
    return status == 400 or "Unpermitted fields" in str(body.get("message"))


def forbidden(account: Account, endpoint: str) -> Reauthorize:
    """Return what a 403 means that concerns the whole account: a scope or role that is missing."""
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
    """Return what a refused call means, by codes where LinkedIn gives them."""
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
        return Misconfigured("LinkedIn no longer serves the API version in DRAVO_LINKEDIN_VERSION.")
    return Misconfigured(f"LinkedIn refused our application's call with status {status}.")


def _throttled(response: Response, message: str, endpoint: str) -> Paused:
    """Return a short pause, as a 429 may be a passing protection.

    When the first call after that is refused as well, it is the daily limit. A wait that LinkedIn asks for
    itself is believed each time.
    """
    now = response.received_at
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    jitter = timedelta(seconds=random.uniform(0, MIDNIGHT_JITTER_SECONDS))  # noqa: S311 - spreads calls only
    asked_for = untrusted.retry_after(response)
    return Paused(
        "LinkedIn's limit for this kind of call is reached.",
        kind=BucketKind.ENDPOINT if "APPLICATION" in message else BucketKind.ACCOUNT,
        endpoint=endpoint,
        until=now + (asked_for or LIMIT_PAUSE),
        escalates_until=None if asked_for else max(now + LIMIT_PAUSE, midnight + jitter),
    )


def _unauthorized(response: Response, account: Account, body: Mapping[str, object]) -> RefreshError:
    revoked = body.get("serviceErrorCode") == REVOKED or body.get("code") == "REVOKED_ACCESS_TOKEN"
    minted_at = account.token_minted_at
    if revoked and minted_at and response.received_at - minted_at < SETTLING:
        return Paused(
            "LinkedIn does not accept the renewed token yet.",
            kind=BucketKind.ACCOUNT,
            until=response.received_at + SETTLING_RETRY,
            refused_again=Reauthorize(RECONNECT),
        )
    if body.get("serviceErrorCode") == TOKEN_UNSEEN and account.access_token.get_secret_value():
        return Misconfigured("LinkedIn did not see the token that we sent.")
    return Reauthorize(RECONNECT, renewable=not revoked and account.refresh_token is not None)
