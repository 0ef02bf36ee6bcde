"""Threads: lifetime insights of posts. A sixth platform, added by following worker/adapters/README.md alone.

Endpoint   ``GET /v1.0/{threads-media-id}/insights?metric=…``, a call a post, for the token's own posts
Scopes     ``threads_basic``, ``threads_manage_insights``
Limits     by profile, in the Graph API's error codes; no header is relied on
Renewal    tokens of 60 days, renewable from the age of 24 hours until they end
Errors     the Graph API's envelope: the code decides, not the status

https://developers.facebook.com/docs/threads/insights
https://developers.facebook.com/docs/threads/get-started/long-lived-tokens
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from urllib.parse import quote

from pydantic import SecretStr

from shared.settings import Settings
from shared.vocabulary import BucketKind, WarningCode, warn
from tests.worker.adapters.threads.constants import ThreadsSettings
from worker.adapters import untrusted
from worker.adapters.contract import Response, Upstream
from worker.errors import Misconfigured, Paused, Reauthorize, RefreshError, TryAgain
from worker.readings import Account, Answer, Publication, Reading, Tokens

INSIGHTS, TOKEN = "insights", "token"
METRICS = ("views", "likes", "replies", "reposts", "quotes", "shares")
POST_ID = re.compile(r"[0-9]{1,25}")
SCOPE = "threads_manage_insights"
APP_LIMITS, PROFILE_LIMITS = frozenset({4, 341}), frozenset({17, 32, 613})
MISSING = frozenset({33, 803})
PAUSE = timedelta(hours=1)
MAX_LIFE_SECONDS = 366 * 86_400
RECONNECT = "Threads no longer accepts this account's authorization: reconnect the account."


class Threads:
    """How posts on Threads are read."""

    renewal_endpoint = TOKEN

    def __init__(self, settings: Settings) -> None:
        assert isinstance(settings, ThreadsSettings)
        self._url = settings.threads_api_url

    def fetch(
        self, upstream: Upstream, account: Account, publications: Sequence[Publication]
    ) -> Iterator[Reading]:
        """Yield a reading per publication; see `worker.adapters.contract.Adapter.fetch`."""
        for publication in publications:
            post_id = publication.platform_post_id or ""
            if POST_ID.fullmatch(post_id):
                yield self._read(upstream, account, publication, post_id)
            else:
                detail = "The stored id is no id of a post on Threads."
                yield Reading(publication.id, Answer.MISSING, detail=detail)

    def _read(self, upstream: Upstream, account: Account, publication: Publication, post_id: str) -> Reading:
        url = f"{self._url}/v1.0/{post_id}/insights?metric={','.join(METRICS)}"
        bearer = {"Authorization": f"Bearer {account.access_token.get_secret_value()}"}
        response = upstream.send("GET", url, endpoint=INSIGHTS, headers=bearer)
        body = untrusted.body_of(response)
        error = untrusted.object_of(body.get("error"))
        if response.status == 200 and isinstance(body.get("data"), list) and not error:
            return _reading(publication, untrusted.objects_of(body["data"]))
        if _number(error, "code") in MISSING or _number(error, "error_subcode") in MISSING:
            return Reading(publication.id, Answer.MISSING, detail="Threads does not know this post.")
        raise _refusal(response, error)

    def renew(self, upstream: Upstream, account: Account) -> Tokens:
        """Return the next long-lived token."""
        query = f"grant_type=th_refresh_token&access_token={quote(account.access_token.get_secret_value())}"
        response = upstream.send("GET", f"{self._url}/refresh_access_token?{query}", endpoint=TOKEN)
        body = untrusted.body_of(response)
        token, seconds = body.get("access_token"), body.get("expires_in")
        if response.status != 200 or "error" in body:
            raise _refusal(response, untrusted.object_of(body.get("error")))
        if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
            raise TryAgain("Threads' answer to a token renewal holds no token.")
        if not untrusted.is_count(seconds) or not 0 < seconds <= MAX_LIFE_SECONDS:
            return Tokens(SecretStr(token), expires_at=None)
        return Tokens(SecretStr(token), expires_at=response.received_at + timedelta(seconds=seconds))


def _reading(publication: Publication, rows: Sequence[Mapping[str, object]]) -> Reading:
    values_by_name = {row.get("name"): row.get("values") for row in rows if isinstance(row.get("name"), str)}
    metrics: dict[str, int | float] = {}
    for name in METRICS:
        values = untrusted.objects_of(values_by_name.get(name))
        if values and untrusted.is_count(value := values[0].get("value")):
            metrics[name] = value
    if not metrics:
        return Reading(publication.id, Answer.UNAVAILABLE, detail="Threads has no numbers for this post.")
    missing = tuple(name for name in METRICS if name not in metrics)
    warnings = tuple(
        warn(WarningCode.METRIC_UNAVAILABLE, f"Threads did not report {name}") for name in missing
    )
    return Reading(publication.id, Answer.READ, metrics, missing, warnings)


def _refusal(response: Response, error: Mapping[str, object]) -> RefreshError:
    code, status = _number(error, "code"), response.status
    if code in APP_LIMITS | PROFILE_LIMITS or status == 429:
        kind = BucketKind.APP if code in APP_LIMITS else BucketKind.ACCOUNT
        until = response.received_at + (untrusted.retry_after(response) or PAUSE)
        return Paused("Threads' rate limit is reached.", kind=kind, until=until)
    if code == 190:
        return Reauthorize(RECONNECT)
    if code == 10 or 200 <= code < 300:
        return Reauthorize(f"Reconnect the account and grant {SCOPE}.", missing_scope=SCOPE)
    if code == 101:
        return Misconfigured("Threads refused our application.")
    return TryAgain(f"Threads answered with status {status}.", breaks=status >= 500)


def _number(error: Mapping[str, object], name: str) -> int:
    number = error.get(name)
    return number if untrusted.is_count(number) else 0
