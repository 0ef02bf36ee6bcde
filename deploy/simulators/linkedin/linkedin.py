"""Simulated LinkedIn: statistics of organizations' and members' posts, the posts, and OAuth tokens.

Written from https://learn.microsoft.com/en-us/linkedin: marketing/community-management (share statistics,
post statistics, posts API), marketing/versioning, shared/api-guide/concepts (error handling, rate limits),
shared/authentication/programmatic-refresh-tokens.

`GET /rest/organizationalEntityShareStatistics` · `GET /rest/memberCreatorPostAnalytics` (finder `entity`,
aggregation `TOTAL`) · `GET /rest/posts/{urn}` and `GET /rest/posts?ids=List(…)` on the API host,
`POST /oauth/v2/accessToken` on the other one. Queries are checked undecoded, as they were sent.
Not simulated: `timeIntervals`, `DAILY`, the finder `me`.
Buckets for `Conditions.limits`: `application_day` and `member_day`, for each endpoint, from 00:00 UTC.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import httpx

from deploy.simulators.behaviour import Behaviour, Limit
from deploy.simulators.linkedin.oauth import Tokens
from deploy.simulators.linkedin.posts import MEMBER_METRICS, MEMBER_METRICS_202604, Posts, bare
from deploy.simulators.linkedin.restli import access_denied, error, number, parameters, urn, urns
from deploy.simulators.refusal import RefusedError, bearer_of, is_over, target_of
from deploy.simulators.request_log import note
from deploy.simulators.world import Account, World

VERSIONS = frozenset(f"2026{month:02}" for month in range(1, 11))
"""The active versions; 202511 is sunset, and 202512 never existed."""

DAY_SECONDS = 86_400.0
LIMITS = {"application_day": 500_000, "member_day": 100_000}
"""Calls a day. LinkedIn publishes no numbers; these are large enough not to matter by default."""

PAGE = 10
STATISTICS = "organizationalEntityShareStatistics"
ANALYTICS = "memberCreatorPostAnalytics"

_POST_URN = re.compile(r"urn:li:(?:share|ugcPost):\d+")
_POST_KINDS = ("share", "ugcPost")
_ENTITY = re.compile(r"\((?P<key>share|ugc):(?P<urn>[^()]*)\)")


@dataclass(frozen=True, slots=True)
class _Call:
    """An authorized call: the raw query, the accounts of its token, and the API version."""

    query: str
    holders: list[Account]
    version: str


_Answer = Callable[[_Call], httpx.Response]


class LinkedIn:
    """Both hosts. A member's token gives access to each organization in which the member has the role."""

    def __init__(self, world: World, behaviour: Behaviour) -> None:
        self._world = world
        self._behaviour = behaviour
        self._posts = Posts(world, behaviour)
        self._tokens = Tokens(world)

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        path, _ = target_of(request)
        match request.method, path.split("/")[1:]:
            case "POST", ["oauth", "v2", "accessToken"]:
                return note(self._tokens.refresh(request), "oauth/accessToken")
            case "GET", ["rest", "organizationalEntityShareStatistics"]:
                return self._guarded(request, STATISTICS, self._statistics)
            case "GET", ["rest", "memberCreatorPostAnalytics"]:
                return self._guarded(request, ANALYTICS, self._analytics)
            case "GET", ["rest", "posts"]:
                return self._guarded(request, "posts", self._batch)
            case "GET", ["rest", "posts", one]:
                return self._guarded(request, "posts", lambda call: self._post(call, one))
        missing = error(404, "RESOURCE_NOT_FOUND", f"No virtual resource found for {unquote(path)}")
        return note(missing.response, "unknown")

    # Who may call, with which version, how often

    def _guarded(self, request: httpx.Request, endpoint: str, answer: _Answer) -> httpx.Response:
        path, query = target_of(request)
        try:
            holders = self._holders(request)
            version = self._version(request)
            self._throttle(endpoint, holders)
            response = answer(_Call(query, holders, version))
        except RefusedError as refused:
            response = refused.response
        response.headers["x-li-uuid"] = uuid4().hex
        response.headers["x-li-fabric"] = "simulated"
        return note(response, endpoint, _POST_URN.findall(unquote(f"{path}?{query}")))

    def _holders(self, request: httpx.Request) -> list[Account]:
        """Return the accounts of the token; the first one stands for the member."""
        token = bearer_of(request)
        if token is None:
            raise error(401, "UNAUTHORIZED", "Empty oauth2_access_token", 401)
        holders = self._world.holders(token, "linkedin")
        if not holders:
            raise error(401, "INVALID_ACCESS_TOKEN", "Invalid access token", 65600)
        now = self._world.now()
        settling = timedelta(seconds=self._behaviour.conditions.revoked_after_minting_seconds)
        for holder in holders:
            if holder.revoked or (holder.minted_at is not None and now < holder.minted_at + settling):
                message = "The token used in the request has been revoked by the user"
                raise error(401, "REVOKED_ACCESS_TOKEN", message, 65601)
            if is_over(holder.access_token_expires_at, now):
                message = "The token used in the request has expired"
                raise error(401, "EXPIRED_ACCESS_TOKEN", message, 65602)
        return holders

    def _version(self, request: httpx.Request) -> str:
        version: str | None = request.headers.get("linkedin-version")
        if version is None:
            raise error(400, "VERSION_MISSING", "A version must be present in the LinkedIn-Version header")
        if version not in VERSIONS - self._behaviour.conditions.sunset_versions:
            raise error(426, "NONEXISTENT_VERSION", f"Requested version {version} is not active")
        if request.headers.get("x-restli-protocol-version") != "2.0.0":
            raise error(400, "ILLEGAL_ARGUMENT", "X-Restli-Protocol-Version must be 2.0.0 for this query")
        return version

    def _throttle(self, endpoint: str, holders: list[Account]) -> None:
        now = self._world.now()
        for bucket, who in (("member_day", holders[0].platform_account_id), ("application_day", "")):
            limit = Limit(LIMITS[bucket], DAY_SECONDS, sliding=False)
            if not self._behaviour.spend(bucket, f"{endpoint} {who}", now, default=limit).allowed:
                whose = bucket.removesuffix("_day").upper()
                message = f"Resource level throttle {whose} DAY limit for calls to this resource is reached."
                raise error(429, "TOO_MANY_REQUESTS", message, 101)

    # Organizations

    def _statistics(self, call: _Call) -> httpx.Response:
        known = ("q", "organizationalEntity", "shares", "ugcPosts", "start", "count")
        query = parameters(call.query, known)
        if query.get("q") != "organizationalEntity" or "organizationalEntity" not in query:
            raise error(400, "ILLEGAL_ARGUMENT", "The finder needs q=organizationalEntity and its URN")
        wanted = urn(query["organizationalEntity"], ("organization",))
        organization = _administered(call.holders, wanted)
        ids = urns(query["shares"], ("share",)) if "shares" in query else []
        ids += urns(query["ugcPosts"], ("ugcPost",)) if "ugcPosts" in query else []
        foreign = any(self._posts.is_foreign(one, [organization]) for one in ids)
        if foreign and self._behaviour.conditions.foreign_refused:
            raise access_denied(f"{STATISTICS}.FINDER-organizationalEntity")
        elements = self._posts.statistics(organization, ids) if ids else self._posts.totals(organization)
        return self._paged(query, elements)

    def _paged(self, parameters: dict[str, str], elements: list[dict[str, Any]]) -> httpx.Response:
        """Return one page, or all elements when no page is requested and none is enforced."""
        start, count = number(parameters.get("start"), 0), number(parameters.get("count"), PAGE)
        links = []
        if "count" in parameters or self._behaviour.conditions.paged_lists:
            if start + count < len(elements):
                others = [
                    f"{name}={value}" for name, value in parameters.items() if name not in ("start", "count")
                ]
                following = "&".join([*others, f"start={start + count}", f"count={count}"])
                href = f"/rest/{STATISTICS}?{following}"
                links = [{"type": "application/json", "rel": "next", "href": href}]
            elements = elements[start : start + count]
        paging = {"start": start, "count": count, "links": links}
        return httpx.Response(200, json={"paging": paging, "elements": elements})

    # Members

    def _analytics(self, call: _Call) -> httpx.Response:
        query = parameters(call.query, ("q", "entity", "queryType", "aggregation"))
        entity = _ENTITY.fullmatch(query.get("entity", ""))
        if query.get("q") != "entity" or entity is None:
            raise error(400, "ILLEGAL_ARGUMENT", "The finder needs q=entity and entity=(share:…) or (ugc:…)")
        wanted = urn(entity["urn"], ("share",) if entity["key"] == "share" else ("ugcPost",))
        metric = query.get("queryType", "")
        metrics = MEMBER_METRICS | (MEMBER_METRICS_202604 if call.version >= "202604" else {})
        if metric not in metrics or query.get("aggregation", "TOTAL") != "TOTAL":
            raise error(400, "ILLEGAL_ARGUMENT", "This queryType with this aggregation is not supported")
        members = [
            one for one in call.holders if one.kind == "member" and "r_member_postAnalytics" in one.scopes
        ]
        if not members or self._posts.is_foreign(wanted, members):
            raise access_denied(f"{ANALYTICS}.FINDER-entity")
        post = self._posts.existing(wanted)
        if post is None:
            # The vendor documents nothing about deleted posts here.
            raise error(404, "NOT_FOUND", f"Could not find entity {wanted}")
        elements = self._posts.member_analytics(post, metric, typed=call.version < "202605")
        paging = {"start": 0, "count": PAGE, "links": []}
        return httpx.Response(200, json={"paging": paging, "elements": elements})

    # Posts

    def _post(self, call: _Call, one: str) -> httpx.Response:
        parameters(call.query, ("viewContext",))
        return httpx.Response(200, json=self._read(urn(one, _POST_KINDS), call.holders))

    def _batch(self, call: _Call) -> httpx.Response:
        query = parameters(call.query, ("ids", "viewContext"))
        results, statuses, errors = {}, {}, {}
        for one in urns(query.get("ids", ""), _POST_KINDS):
            try:
                results[one] = self._read(one, call.holders)
                statuses[one] = 200
            except RefusedError as refused:
                errors[one] = refused.response.json()
                statuses[one] = refused.response.status_code
        return httpx.Response(200, json={"results": results, "statuses": statuses, "errors": errors})

    def _read(self, wanted: str, holders: list[Account]) -> dict[str, Any]:
        readers = [
            one
            for one in holders
            if not one.role_lost and _READS_POSTS.get(one.kind or "", "r_organization_social") in one.scopes
        ]
        if not readers or self._posts.is_foreign(wanted, readers):
            raise access_denied("posts.GET")
        post = self._posts.existing(wanted)
        if post is None:
            raise error(404, "NOT_FOUND", f"Could not find entity {wanted}")
        owner = next(one for one in readers if bare(one.platform_account_id) == bare(post.owner))
        return self._posts.shown(post, owner)


_READS_POSTS = {"member": "r_member_social"}


def _administered(holders: list[Account], organization: str) -> Account:
    """Return the organization's account, if the member administers it and granted the scope for it."""
    for holder in holders:
        if (
            holder.kind != "member"
            and bare(holder.platform_account_id) == bare(organization)
            and not holder.role_lost
            and "rw_organization_admin" in holder.scopes
        ):
            return holder
    raise access_denied(f"{STATISTICS}.FINDER-organizationalEntity")
