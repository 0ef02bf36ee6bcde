"""LinkedIn Community Management API: the statistics of organizations' and of members' posts.

Organizations: ``GET /rest/organizationalEntityShareStatistics`` with ``shares=List(…)&ugcPosts=List(…)``, the
scope ``rw_organization_admin`` and the page role ADMINISTRATOR: 20 posts cost one call. Organic numbers only,
lifetime totals, of the last 12 months. Posts without activity are left out, so absent posts that are younger
are looked up with ``GET /rest/posts?ids=List(…)``, scope ``r_organization_social``. A job of 20 adds at most:

- one such lookup;
- one call for each further page of an incomplete answer: one where pages have ten posts;
- where the call is refused: one for the organization alone, which distinguishes a lost role from a foreign
  post, and 38 that find the refused posts by bisection (8 for one of them).

Members: ``GET /rest/memberCreatorPostAnalytics``, scope ``r_member_postAnalytics``, one metric of one post a
call: six calls a post.

https://learn.microsoft.com/en-us/linkedin/marketing/community-management/organizations/share-statistics
https://learn.microsoft.com/en-us/linkedin/marketing/community-management/members/post-statistics
https://learn.microsoft.com/en-us/linkedin/marketing/community-management/shares/posts-api
https://learn.microsoft.com/en-us/linkedin/shared/api-guide/concepts/rate-limits
https://learn.microsoft.com/en-us/linkedin/shared/authentication/programmatic-refresh-tokens
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from urllib.parse import unquote

from shared.settings import Settings
from shared.vocabulary import WarningCode, warn
from worker.adapters import oauth, untrusted
from worker.adapters.contract import Upstream
from worker.adapters.linkedin.restli import (
    ANALYTICS,
    POSTS,
    RECONNECT,
    SCOPES,
    STATISTICS,
    RestLi,
    encoded,
    forbidden,
    is_ill_formed,
    listed,
)
from worker.errors import Misconfigured, TryAgain
from worker.readings import Account, Answer, Publication, Reading, Tokens

TOKEN_ENDPOINT = "oauth/accessToken"  # noqa: S105 - names an endpoint
POST_URN = re.compile(r"urn:li:(share|ugcPost):[0-9]{1,19}")
METRIC = re.compile(r"[a-z][A-Za-z0-9]{0,63}")
PREFIX = "share_statistics_"
COUNTS = {
    "impressionCount": f"{PREFIX}impression_count",
    "uniqueImpressionsCount": f"{PREFIX}unique_impressions_count",
    "clickCount": f"{PREFIX}click_count",
    "likeCount": f"{PREFIX}like_count",
    "commentCount": f"{PREFIX}comment_count",
    "shareCount": f"{PREFIX}share_count",
}
RATIO = "engagement"
NO_ACTIVITY = dict.fromkeys(COUNTS.values(), 0)
"""The meaning of a post that exists and is left out."""
MEMBER_METRICS = {
    "IMPRESSION": COUNTS["impressionCount"],
    "MEMBERS_REACHED": COUNTS["uniqueImpressionsCount"],
    "REACTION": COUNTS["likeCount"],
    "COMMENT": COUNTS["commentCount"],
    "RESHARE": COUNTS["shareCount"],
    "LINK_CLICKS": COUNTS["clickCount"],
}
PAGE = 10
WINDOW = timedelta(days=365)
DETAILS = {
    Answer.MISSING: "LinkedIn does not know this post for this account.",
    Answer.UNREADABLE: "LinkedIn's answer for this post is not clear.",
    Answer.UNAVAILABLE: "LinkedIn has no numbers for this post.",
    Answer.WINDOW_CLOSED: "LinkedIn reports on the last 12 months only, and this post is older.",
}
UNEXPLAINED = warn(
    WarningCode.PERMISSION_MISSING,
    f"without {SCOPES[POSTS]} it is unknown whether a post without numbers still exists",
)


class LinkedIn:
    """The adapter for LinkedIn."""

    renewal_endpoint = TOKEN_ENDPOINT

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def fetch(
        self, upstream: Upstream, account: Account, publications: Sequence[Publication]
    ) -> Iterator[Reading]:
        """Yield a reading per publication; see `worker.adapters.contract.Adapter.fetch`."""
        requested: dict[str, Publication] = {}
        for publication in publications:
            urn = publication.platform_post_id
            if urn is None:
                yield Reading(publication.id, Answer.PROCESSING, detail="LinkedIn has given it no URN yet.")
            elif not (POST_URN.fullmatch(urn) and untrusted.is_id(urn.rpartition(":")[2])):
                detail = "The stored id is no URN of a share or ugcPost on LinkedIn."
                yield Reading(publication.id, Answer.MISSING, detail=detail)
            else:
                requested[urn] = publication
        call = RestLi(self._settings, upstream, account)
        yield from _members(call, requested) if account.kind == "member" else _organizations(call, requested)

    def renew(self, upstream: Upstream, account: Account) -> Tokens:
        """Return a new access token; the refresh token stays, and expires a year after its first issue."""
        form = oauth.refresh_form(account, RECONNECT)
        form["client_id"] = oauth.setting(self._settings.linkedin_client_id, "DRAVO_LINKEDIN_CLIENT_ID")
        secret = oauth.setting(self._settings.linkedin_client_secret, "DRAVO_LINKEDIN_CLIENT_SECRET")
        url = f"{self._settings.linkedin_oauth_url}/oauth/v2/accessToken"
        response = upstream.send("POST", url, endpoint=TOKEN_ENDPOINT, form={**form, "client_secret": secret})
        return oauth.tokens_of(response, endpoint=TOKEN_ENDPOINT, reconnect=RECONNECT)


# Organizations


def _organizations(call: RestLi, requested: Mapping[str, Publication]) -> Iterator[Reading]:
    absent: list[str] = []
    shown: list[str] = []
    for urn, answer, statistics in _statistics(call, list(requested)):
        publication = requested[urn]
        if answer is Answer.READ:
            shown.append(urn)
            yield _reading(publication, statistics)
        elif answer is not Answer.OMITTED:
            yield Reading(publication.id, answer, detail=DETAILS[answer])
        elif call.upstream.now() - publication.created_at > WINDOW:
            yield Reading(publication.id, Answer.WINDOW_CLOSED, detail=DETAILS[Answer.WINDOW_CLOSED])
        else:
            absent.append(urn)
    for urn, answer in _look_up(call, absent, shown[:1]) if absent else ():
        zeros = NO_ACTIVITY if answer is Answer.OMITTED else {}
        warnings = (UNEXPLAINED,) if answer is Answer.UNAVAILABLE else ()
        yield Reading(requested[urn].id, answer, zeros, warnings=warnings, detail=DETAILS.get(answer))


def _statistics(call: RestLi, urns: list[str]) -> Iterator[tuple[str, Answer, Mapping[str, object]]]:
    """Yield each URN with its answer and statistics; a URN that is refused alone is `MISSING`."""
    groups = [urns] if urns else []
    refused: dict[str, bool] = {}
    probed = answered = False
    while groups:
        group = groups.pop()
        query = _finder(call.account, group)
        status, body = call.get(STATISTICS, query, tolerated=(400, 403))
        if status in (400, 403):
            ill_formed = is_ill_formed(status, body)
            if not (probed or ill_formed):
                call.get(STATISTICS, _finder(call.account, ()))
                probed = True
            if len(group) == 1:
                refused[group[0]] = ill_formed
            if not answered and (sum(refused.values()) > 1 or (ill_formed and len(urns) == 1)):
                raise Misconfigured("LinkedIn refuses the form of our call for statistics.")
            if len(group) > 1:
                groups += [group[len(group) // 2 :], group[: len(group) // 2]]
            continue
        answered = True
        statistics_of, more, clear = _elements(body, group)
        yield from ((urn, Answer.READ, statistics) for urn, statistics in statistics_of.items())
        rest = [urn for urn in group if urn not in statistics_of]
        if more and statistics_of and rest:
            groups.append(rest)
        else:
            yield from (
                (urn, Answer.OMITTED if clear and not more else Answer.UNREADABLE, {}) for urn in rest
            )
    yield from ((urn, Answer.MISSING, {}) for urn in refused)


def _look_up(call: RestLi, absent: Sequence[str], shown: Sequence[str]) -> Iterator[tuple[str, Answer]]:
    """Yield why each post was left out. ``shown`` is a post with numbers: if found, lookups are allowed."""
    query = f"ids={listed([*absent, *shown])}"
    status, body = call.get(POSTS, query, tolerated=(403,))
    results, errors, statuses = (
        {unquote(urn): value for urn, value in untrusted.object_of(body.get(name)).items()}
        for name in ("results", "errors", "statuses")
    )
    for urn in absent:
        exists = isinstance(results.get(urn), dict)
        code = untrusted.object_of(errors.get(urn)).get("status", statuses.get(urn))
        if exists:
            yield urn, Answer.OMITTED
        elif status == 403 or (code == 403 and not results):
            yield urn, Answer.UNAVAILABLE
        else:
            yield urn, Answer.MISSING if code in (403, 404, 410) else Answer.UNREADABLE


# Members


def _members(call: RestLi, requested: Mapping[str, Publication]) -> Iterator[Reading]:
    """Yield the readings of a member's posts; if the first two are refused, the account is refused."""
    refused: dict[int, int] = {}
    answered = False
    for urn, publication in requested.items():
        reading = _member_post(call, publication, urn)
        if isinstance(reading, Reading):
            answered = answered or reading.answer is not Answer.MISSING
            yield reading
        else:
            refused[publication.id] = reading
        if len(refused) > 1 and not answered:
            break
    if refused and not answered:
        if 403 in refused.values():
            raise forbidden(call.account, ANALYTICS)
        raise Misconfigured("LinkedIn refuses the form of our call for a member's statistics.")
    for publication_id in refused:
        yield Reading(publication_id, Answer.MISSING, detail=DETAILS[Answer.MISSING])


def _member_post(call: RestLi, publication: Publication, urn: str) -> Reading | int:
    """Return the reading of one member's post, or the status with which it is refused."""
    entity = f"({'ugc' if ':ugcPost:' in urn else 'share'}:{encoded(urn)})"
    metrics: dict[str, int | float] = {}
    warnings: list[str] = []
    for query_type, key in MEMBER_METRICS.items():
        query = f"q=entity&entity={entity}&queryType={query_type}&aggregation=TOTAL"
        status, body = call.get(ANALYTICS, query, tolerated=(400, 403, 404))
        if status == 404:
            return Reading(publication.id, Answer.MISSING, detail=DETAILS[Answer.MISSING])
        if status in (400, 403) and query_type == next(iter(MEMBER_METRICS)):
            return status
        elements = untrusted.objects_of(body.get("elements"))
        if elements and untrusted.is_count(count := elements[0].get("count")):
            metrics[key] = count
        else:
            denied = WarningCode.PERMISSION_MISSING if status == 403 else WarningCode.METRIC_UNAVAILABLE
            warnings.append(warn(denied, f"{key} was not reported by LinkedIn"))
    if not metrics:
        closed = call.upstream.now() - publication.created_at > WINDOW
        answer = Answer.WINDOW_CLOSED if closed else Answer.UNAVAILABLE
        return Reading(publication.id, answer, detail=DETAILS[answer])
    missing = tuple(key for key in MEMBER_METRICS.values() if key not in metrics)
    return Reading(publication.id, Answer.READ, metrics, missing, tuple(warnings))


def _finder(account: Account, urns: Sequence[str]) -> str:
    """Return the query for an organization's statistics of these posts; without posts, of its total."""
    organization = f"urn:li:organization:{account.platform_account_id.rpartition(':')[2]}"
    query = f"q=organizationalEntity&organizationalEntity={encoded(organization)}"
    for parameter, kind in (("shares", ":share:"), ("ugcPosts", ":ugcPost:")):
        if of_kind := [urn for urn in urns if kind in urn]:
            query += f"&{parameter}={listed(of_kind)}"
    return query


def _elements(
    body: Mapping[str, object], group: Sequence[str]
) -> tuple[dict[str, Mapping[str, object]], bool, bool]:
    """Return the statistics by URN, whether more may follow, and whether every element was identified."""
    elements = body.get("elements")
    if not isinstance(elements, list):
        raise TryAgain("LinkedIn's answer holds no statistics.")
    statistics_of: dict[str, Mapping[str, object]] = {}
    for element in untrusted.objects_of(elements):
        urn = element.get("share", element.get("ugcPost"))
        if isinstance(urn, str) and urn in group:
            statistics_of[urn] = untrusted.object_of(element.get("totalShareStatistics"))
    links = untrusted.objects_of(untrusted.object_of(body.get("paging")).get("links"))
    more = len(elements) == PAGE or any(link.get("rel") == "next" for link in links)
    return statistics_of, more, len(statistics_of) == len(elements)


@lru_cache(maxsize=1_000)
def _key_of(name: str) -> str | None:
    """Return our key of a metric, ``None`` for no metric's name; all elements have the same names."""
    return PREFIX + re.sub(r"(?=[A-Z])", "_", name).lower() if METRIC.fullmatch(name) else None


def _reading(publication: Publication, statistics: Mapping[str, object]) -> Reading:
    """Return the reading of one element, with all its numbers, also those whose names are new."""
    metrics: dict[str, int | float] = {}
    missing: list[str] = []
    for name, value in statistics.items():
        if (key := _key_of(name)) is None:
            continue
        if untrusted.is_count(value) or (name not in COUNTS and untrusted.is_ratio(value)):
            metrics[key] = float(value) if name == RATIO else value
        elif name in COUNTS or name == RATIO:
            missing.append(key)
    if not metrics:
        return Reading(publication.id, Answer.UNAVAILABLE, detail=DETAILS[Answer.UNAVAILABLE])
    warnings = tuple(warn(WarningCode.METRIC_UNAVAILABLE, f"{key} was not a valid number") for key in missing)
    return Reading(publication.id, Answer.READ, metrics, tuple(missing), warnings)
