"""Simulated TikTok API v2: videos with their counters, publish status, and OAuth tokens.

Written from https://developers.tiktok.com/doc: tiktok-api-v2-video-query, tiktok-api-v2-video-list,
tiktok-api-v2-rate-limit, tiktok-api-v2-error-handling, content-posting-api-reference-get-video-status,
oauth-refresh-a-user-access-token, oauth-error-handling.

`POST /v2/video/query/` · `POST /v2/video/list/` · `POST /v2/post/publish/status/fetch/` ·
`POST /v2/oauth/token/`; without the final slash, they are 404. Every answer but the token endpoint's is
`{"data", "error"}`. Ids that are deleted, private, unresolved, foreign or unknown are left out.
Buckets for `Conditions.limits`: `video/query`, `video/list` (the app's calls in a sliding minute) and
`status/fetch` (each user's).
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, timedelta
from hashlib import blake2b
from typing import Any

import httpx

from deploy.simulators.behaviour import Behaviour, Limit
from deploy.simulators.refusal import RefusedError, bearer_of, is_over, target_of
from deploy.simulators.request_log import note
from deploy.simulators.tiktok.oauth import ACCESS_LIFE, Tokens, log_id
from deploy.simulators.world import Account, Post, World

MAX_IDS = 20
COUNTERS = {"view_count": 1.0, "like_count": 0.06, "comment_count": 0.004, "share_count": 0.005}
"""The counters, each with its usual share of a video's size. `Post.counters` takes these names."""

FIELDS = frozenset(
    {
        *("id", "create_time", "cover_image_url", "share_url", "video_description", "duration", "height"),
        *("width", "title", "embed_html", "embed_link", *COUNTERS),
    }
)
LIMITS = {"video/query": Limit(600, 60.0), "video/list": Limit(600, 60.0), "status/fetch": Limit(30, 60.0)}

_ID = re.compile(r"[0-9]{15,20}")
_HTTP = {
    "access_token_invalid": 401,
    "scope_not_authorized": 401,
    "invalid_params": 400,
    "invalid_publish_id": 400,
    "token_not_authorized_for_specified_publish_id": 403,
    "rate_limit_exceeded": 429,
}
_Answer = Callable[[httpx.Request, Account, dict[str, Any]], dict[str, Any]]


class TikTok:
    """The API host. `access_life` is 24 hours for access tokens of the older kind."""

    def __init__(self, world: World, behaviour: Behaviour, *, access_life: timedelta = ACCESS_LIFE) -> None:
        self._world = world
        self._behaviour = behaviour
        self._tokens = Tokens(world, access_life)

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        path, _ = target_of(request)
        match request.method, path:
            case "POST", "/v2/video/query/":
                return self._guarded(request, "video/query", {"video.list"}, self._query)
            case "POST", "/v2/video/list/":
                return self._guarded(request, "video/list", {"video.list"}, self._list)
            case "POST", "/v2/post/publish/status/fetch/":
                scopes = {"video.publish", "video.upload"}
                return self._guarded(request, "status/fetch", scopes, self._status)
            case "POST", "/v2/oauth/token/":
                return note(self._tokens.refresh(request), "oauth/token")
        return note(httpx.Response(404, text="404 page not found"), "unknown")

    def _guarded(
        self, request: httpx.Request, endpoint: str, scopes: set[str], answer: _Answer
    ) -> httpx.Response:
        """Answer in the envelope if the token has one of `scopes` and the limit is not reached."""
        body = _object(request.content)
        try:
            data = answer(request, self._caller(request, endpoint, scopes), body)
            response = self._enveloped(200, "ok", "", data)
        except RefusedError as refused:
            response = refused.response
        return note(response, endpoint, _requested_ids(body))

    def _caller(self, request: httpx.Request, endpoint: str, scopes: set[str]) -> Account:
        account = self._world.holder(bearer_of(request) or "", "tiktok")
        if account is None or account.revoked or is_over(account.access_token_expires_at, self._world.now()):
            raise self._refused(
                "access_token_invalid", "The access token is invalid or not found in the request."
            )
        if not account.scopes & scopes:
            raise self._refused("scope_not_authorized", "The user did not authorize the scope required.")
        key = account.platform_account_id if endpoint == "status/fetch" else "app"
        if not self._behaviour.spend(endpoint, key, self._world.now(), default=LIMITS[endpoint]).allowed:
            raise self._refused(
                "rate_limit_exceeded", "The API rate limit was exceeded. Please try again later."
            )
        if not request.headers.get("content-type", "").lower().startswith("application/json"):
            raise self._refused("invalid_params", "Only Content-Type: application/json is supported.")
        return account

    # The endpoints

    def _query(self, request: httpx.Request, account: Account, body: dict[str, Any]) -> dict[str, Any]:
        fields = self._fields(request)
        filters = body.get("filters")
        ids = filters.get("video_ids") if isinstance(filters, dict) else None
        if not isinstance(ids, list) or not 1 <= len(ids) <= MAX_IDS:
            raise self._refused("invalid_params", f"filters.video_ids must hold 1 to {MAX_IDS} ids.")
        if not all(isinstance(one, str) and _ID.fullmatch(one) for one in ids):
            raise self._refused("invalid_params", "filters.video_ids must hold ids as strings.")
        posts = (self._world.post("tiktok", one) for one in dict.fromkeys(ids))
        own = [post for post in posts if post is not None and post.owner == account.platform_account_id]
        # The vendor promises no order, so it never is that of the request.
        shown = sorted(self._shown(own), key=lambda post: blake2b(post.platform_post_id.encode()).digest())
        if not shown and self._behaviour.conditions.empty_list_absent:
            return {}
        return {"videos": [self._to_json(post, fields) for post in shown]}

    def _list(self, request: httpx.Request, account: Account, body: dict[str, Any]) -> dict[str, Any]:
        fields = self._fields(request)
        size, cursor = body.get("max_count", 10), body.get("cursor")
        if not isinstance(size, int) or not 1 <= size <= MAX_IDS:
            raise self._refused("invalid_params", f"max_count must be 1 to {MAX_IDS}.")
        if cursor is not None and not isinstance(cursor, int):
            raise self._refused("invalid_params", "cursor must be a number.")
        mine = self._shown(self._world.posts("tiktok", account.platform_account_id))
        older = [post for post in mine if cursor is None or _milliseconds(post) < cursor]
        older.sort(key=_milliseconds, reverse=True)
        page = older[:size]
        return {
            "videos": [self._to_json(post, fields) for post in page],
            "cursor": _milliseconds(page[-1]) if page else cursor or 0,
            "has_more": len(older) > size,
        }

    def _status(self, request: httpx.Request, account: Account, body: dict[str, Any]) -> dict[str, Any]:
        del request
        publish_id = body.get("publish_id")
        post = self._world.published("tiktok", publish_id) if isinstance(publish_id, str) else None
        if post is None:
            raise self._refused("invalid_publish_id", "The publish_id does not exist.")
        if post.owner != account.platform_account_id:
            raise self._refused(
                "token_not_authorized_for_specified_publish_id", "The publish_id is another user's."
            )
        # Numbers of 19 digits and a misspelt key, as on the real platform.
        public = [int(shown.platform_post_id) for shown in self._shown([post])]
        return {"status": "PUBLISH_COMPLETE", "publicaly_available_post_id": public}

    # Videos

    def _shown(self, posts: Iterable[Post]) -> list[Post]:
        """Return the posts that are public now: not deleted, not private, past moderation."""
        now = self._world.now()
        return [
            post
            for post in posts
            if not post.deleted and not post.private and (post.resolved_at is None or post.resolved_at <= now)
        ]

    def _fields(self, request: httpx.Request) -> list[str]:
        fields = [field for field in request.url.params.get("fields", "").split(",") if field]
        unknown = [field for field in fields if field not in FIELDS]
        if not fields or unknown:
            raise self._refused(
                "invalid_params", f"fields is required; unknown: {', '.join(unknown) or 'none'}."
            )
        return fields

    def _to_json(self, post: Post, fields: Sequence[str]) -> dict[str, Any]:
        url = f"https://www.tiktok.com/@{post.owner}/video/{post.platform_post_id}"
        known = {
            "id": post.platform_post_id,
            "create_time": _milliseconds(post) // 1000,
            "share_url": url,
            "video_description": post.text,
            "title": post.text,
            "embed_link": url,
        }
        known.update({name: self._world.count(post, name, share) for name, share in COUNTERS.items()})
        return {
            field: known[field] for field in fields if field in known and field not in post.absent_metrics
        }

    # Envelopes

    def _enveloped(self, status: int, code: str, message: str, data: dict[str, Any]) -> httpx.Response:
        error = {"code": code, "message": message, "log_id": log_id(self._world.now())}
        return httpx.Response(status, json={"data": data, "error": error})

    def _refused(self, code: str, message: str) -> RefusedError:
        return RefusedError(self._enveloped(_HTTP[code], code, message, {}))


def _milliseconds(post: Post) -> int:
    return int(post.created_at.astimezone(UTC).timestamp() * 1000)


def _object(content: bytes) -> dict[str, Any]:
    """Return the JSON object in a body, or an empty one, whose missing fields are refused by name."""
    try:
        body = json.loads(content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _requested_ids(body: dict[str, Any]) -> tuple[str, ...]:
    """Return the ids of a request, for the request log."""
    filters = body.get("filters")
    ids = filters.get("video_ids") if isinstance(filters, dict) else [body.get("publish_id")]
    return tuple(one for one in ids if isinstance(one, str)) if isinstance(ids, list) else ()
