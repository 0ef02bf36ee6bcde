"""X API v2: the metrics of posts.

``GET /2/tweets?ids=<1..100>&tweet.fields=…`` with a user's OAuth 2.0 token (``tweet.read users.read``), or
with the app's own bearer where an account has none: 100 posts cost one call. A job adds three at most:

- private metrics, one call, only for own posts younger than 29.5 days and never with the app's bearer: any
  other post is left out of an answer with them. A refusal does not affect the public numbers; for an account
  whose token does not see them they are requested again after a day.
- the query parameter with its other name, once after a 400 that names it. X accepts ``tweet.fields`` and
  ``post.fields``, and the spelling of the parameter decides the spelling of the answer (``retweet_count`` or
  ``repost_count``); should X withdraw one of them, the process keeps the name that works.

Peculiarities: an id that is not in ``data`` is in ``errors``, and one in neither is a transient error; an
edit makes a new id, and a lookup answers with the newest version; ids are below 2^63, and a larger one would
make X refuse the whole call, so it is never sent. A post costs $0.005 a UTC day.

https://docs.x.com/x-api/posts/get-posts-by-ids
https://docs.x.com/x-api/fundamentals/metrics
https://docs.x.com/x-api/fundamentals/rate-limits
https://docs.x.com/x-api/fundamentals/response-codes-and-errors
https://docs.x.com/fundamentals/authentication/oauth-2-0/user-access-token
"""

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache

from pydantic import SecretStr

from shared.settings import Settings
from shared.vocabulary import WarningCode, warn
from worker.adapters import oauth, untrusted
from worker.adapters.contract import Response, Upstream
from worker.adapters.x.refusals import (
    APP_BUCKET,
    RECONNECT,
    USER_BUCKET,
    limits,
    out_of_credits,
    problem,
    refusal,
)
from worker.errors import Paused, Reauthorize, RefreshError
from worker.readings import Account, Answer, Publication, Reading, Tokens

TOKEN_ENDPOINT = "oauth2/token"  # noqa: S105 - names an endpoint
METRIC = re.compile(r"[a-z][a-z0-9_]{0,63}")
PUBLIC = ("impression_count", "like_count", "retweet_count", "reply_count", "quote_count", "bookmark_count")
RENAMED = {"repost_count": "retweet_count"}
PUBLIC_FIELDS = "public_metrics,created_at,author_id"
PRIVATE_FIELDS = "non_public_metrics,organic_metrics"
VERSION, PRIVATE = "2", "private metrics"
"""Keys under which the fleet remembers, by account, that a token does not see private metrics."""
FIELDS_PARAMETERS = ("tweet.fields", "post.fields")
PRIVATE_AGE = timedelta(days=29.5)
"""X documents 30 days; half a day is the margin for differing clocks."""

GONE = {
    "resource-not-found": "X does not know this post: it was deleted.",
    "not-authorized-for-resource": "X does not show this post: its author is protected or suspended.",
    "resource-unavailable": "X does not show this post any more.",
    "disallowed-resource": "X does not show this post any more.",
}
FIELD_REFUSED = frozenset({"not-authorized-for-field", "field-unauthorized"})
Post = Mapping[str, object]


class X:
    """The adapter for X."""

    renewal_endpoint = TOKEN_ENDPOINT

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._fields_parameter = FIELDS_PARAMETERS[0]

    def fetch(
        self, upstream: Upstream, account: Account, publications: Sequence[Publication]
    ) -> Iterator[Reading]:
        """Yield a reading per publication; see `worker.adapters.contract.Adapter.fetch`."""
        requested: list[tuple[Publication, str]] = []
        for publication in publications:
            post_id = publication.platform_post_id
            if post_id is None:
                yield Reading(publication.id, Answer.PROCESSING, detail="X has given this post no id yet.")
            elif not untrusted.is_id(post_id):
                yield Reading(publication.id, Answer.MISSING, detail="The stored id is no id of a post on X.")
            else:
                requested.append((publication, post_id))
        if requested:
            yield from self._readings(upstream, account, requested)

    def _readings(
        self, upstream: Upstream, account: Account, requested: Sequence[tuple[Publication, str]]
    ) -> Iterator[Reading]:
        """Yield the readings of posts by their ids; raise at the end the error of those without one."""
        answer = self._lookup(upstream, account, [post_id for _, post_id in requested], PUBLIC_FIELDS)
        posts, problems = _posts(answer), _problems(answer)
        exhausted = out_of_credits(set(problems.values()), upstream.now())
        young: list[tuple[Publication, Post]] = []
        for publication, post_id in requested:
            post = posts.get(post_id)
            if post is None and exhausted is not None:
                continue
            if post is None:
                yield _unread(publication, problems.get(post_id))
            elif _has_private(account, publication, post, upstream.now()):
                young.append((publication, post))
            else:
                yield _reading(publication, post)
        if young:
            yield from self._with_private(upstream, account, young)
        if exhausted is not None:
            raise exhausted

    def _with_private(
        self, upstream: Upstream, account: Account, young: Sequence[tuple[Publication, Post]]
    ) -> Iterator[Reading]:
        """Yield the readings of young own posts; an error costs them the private metrics only."""
        subject = f"account {account.account_id}"
        if PRIVATE in upstream.memory.refused(VERSION, subject):
            yield from (_reading(publication, post) for publication, post in young)
            return
        posts: Mapping[str, Post] = {}
        warnings: tuple[str, ...] = ()
        refused: RefreshError | None = None
        try:
            ids = [str(post["id"]) for _, post in young]
            answer = self._lookup(upstream, account, ids, PRIVATE_FIELDS)
            posts = _posts(answer)
            if any(_private(post) for post in posts.values()):
                upstream.memory.forget(VERSION, subject, PRIVATE)
            elif FIELD_REFUSED.intersection(_problems(answer).values()):
                upstream.memory.remember(VERSION, subject, PRIVATE)
        except RefreshError as error:
            refused = error
            scope = isinstance(error, Reauthorize) and error.missing_scope
            code = WarningCode.PERMISSION_MISSING if scope else WarningCode.METRIC_UNAVAILABLE
            warnings = (warn(code, f"the private metrics could not be fetched this time: {error}"),)
        for publication, post in young:
            yield _reading(publication, post, _private(posts.get(str(post["id"]), {})), warnings)
        if isinstance(refused, Paused):
            raise refused  # it holds for the next job's public numbers as well

    def _lookup(
        self, upstream: Upstream, account: Account, ids: Sequence[str], fields: str
    ) -> Mapping[str, object]:
        """Return the answer for these ids. Raises the error of a refused call."""
        user_token = _plain(account.access_token)
        bearer = user_token or _plain(self._settings.x_app_bearer)
        if not bearer:
            raise Reauthorize(RECONNECT, renewable=True)
        bucket = USER_BUCKET if user_token else APP_BUCKET

        def request(parameter: str) -> Response:
            query = f"ids={','.join(dict.fromkeys(ids))}&{parameter}={fields}"
            url = f"{self._settings.x_api_url}/2/tweets?{query}"
            headers = {"Authorization": f"Bearer {bearer}"}
            response = upstream.send("GET", url, endpoint=bucket[1], headers=headers)
            upstream.report_limits(*limits(response, bucket))
            return response

        used = self._fields_parameter
        response = request(used)
        refused = str(untrusted.body_of(response)) if response.status == 400 else ""
        if any(name in refused for name in FIELDS_PARAMETERS):
            other = next(name for name in FIELDS_PARAMETERS if name != used)
            response = request(other)
            if untrusted.succeeded(response):
                self._fields_parameter = other
        if not untrusted.succeeded(response):
            raise refusal(response, bucket)
        return untrusted.readable(response)

    def renew(self, upstream: Upstream, account: Account) -> Tokens:
        """Return a new pair; refresh tokens are single-use, so the new one must be stored before its use.

        A confidential client authenticates by a Basic header, a public one names itself in the body.
        """
        form, headers = oauth.refresh_form(account, RECONNECT), {}
        client_id = oauth.setting(self._settings.x_client_id, "DRAVO_X_CLIENT_ID")
        if secret := _plain(self._settings.x_client_secret):
            headers = {"Authorization": f"Basic {b64encode(f'{client_id}:{secret}'.encode()).decode()}"}
        else:
            form["client_id"] = client_id
        url = f"{self._settings.x_api_url}/2/oauth2/token"
        response = upstream.send("POST", url, endpoint=TOKEN_ENDPOINT, headers=headers, form=form)
        return oauth.tokens_of(response, endpoint=TOKEN_ENDPOINT, reconnect=RECONNECT)


# Reading


def _posts(answer: Mapping[str, object]) -> Mapping[str, Post]:
    """Return the posts of an answer by every id that they have, or had before an edit."""
    current: dict[str, Post] = {}
    former: dict[str, Post] = {}
    for post in untrusted.objects_of(answer.get("data")):
        if isinstance(post_id := post.get("id"), str):
            current[post_id] = post
            for name in ("edit_history_tweet_ids", "edit_history_post_ids"):
                versions = post.get(name)
                former |= {str(one): post for one in (versions if isinstance(versions, list) else ())}
    return former | current


def _problems(answer: Mapping[str, object]) -> Mapping[str, str]:
    """Return the problem of each id in the answer's errors."""
    errors = untrusted.objects_of(answer.get("errors"))
    return {str(error.get("resource_id") or error.get("value")): problem(error) for error in errors}


def _unread(publication: Publication, problem: str | None) -> Reading:
    if problem in GONE:
        return Reading(publication.id, Answer.MISSING, detail=GONE[problem])
    if problem in FIELD_REFUSED:
        return Reading(publication.id, Answer.UNAVAILABLE, detail="X refuses the metrics of this post.")
    detail = "X left this post out." if problem is None else "X could not load this post this time."
    return Reading(publication.id, Answer.UNREADABLE, detail=detail)


def _reading(
    publication: Publication,
    post: Post,
    private: Mapping[str, int] | None = None,
    warnings: tuple[str, ...] = (),
) -> Reading:
    public = _counts(post.get("public_metrics"))
    if not public:
        return Reading(publication.id, Answer.UNAVAILABLE, detail="X gave no public metrics for this post.")
    missing = tuple(key for key in PUBLIC if key not in public)
    absent = tuple(warn(WarningCode.METRIC_UNAVAILABLE, f"{key} was not reported by X") for key in missing)
    return Reading(publication.id, Answer.READ, {**(private or {}), **public}, missing, absent + warnings)


def _private(post: Post) -> dict[str, int]:
    """Return the private metrics; the same names occur in several blocks with different meanings."""
    own = _counts(post.get("non_public_metrics"))
    organic = {f"organic_{key}": count for key, count in _counts(post.get("organic_metrics")).items()}
    return {key: count for key, count in own.items() if key not in PUBLIC} | organic


def _has_private(account: Account, publication: Publication, post: Post, now: datetime) -> bool:
    owner = account.platform_account_id
    if not _plain(account.access_token) or post.get("author_id", owner) != owner:
        return False
    return now - (untrusted.instant_of(post.get("created_at")) or publication.created_at) < PRIVATE_AGE


@lru_cache(maxsize=1_000)
def _is_metric(name: str) -> bool:
    return METRIC.fullmatch(name) is not None


def _counts(block: object) -> dict[str, int]:
    """Return the counters of a block by our keys; an invalid one counts as not reported."""
    counts = {
        name: value
        for name, value in untrusted.object_of(block).items()
        if _is_metric(name) and untrusted.is_count(value)
    }
    renamed = {key: counts.pop(name) for name, key in RENAMED.items() if name in counts}
    return renamed | counts


def _plain(value: SecretStr | None) -> str:
    return value.get_secret_value() if value else ""
