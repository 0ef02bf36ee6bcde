"""Instagram media on graph.instagram.com (Instagram Login) and graph.facebook.com (Facebook Login).

https://developers.facebook.com/docs/instagram-platform/reference/instagram-media/insights
Which metrics a medium has depends on its product type (FEED, REELS, STORY), not on its media type. An
unknown metric is named by its place in the request; an unsupported one by name.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import httpx

from deploy.simulators.behaviour import Behaviour, Limit
from deploy.simulators.meta import errors
from deploy.simulators.meta.call import Call
from deploy.simulators.meta.errors import INSTAGRAM_HOST, GraphError
from deploy.simulators.meta.graph import MISSING, Graph
from deploy.simulators.meta.limits import DAY_SECONDS, Bucket
from deploy.simulators.world import Account, Post, World

IMPRESSIONS = 25
"""Impressions of a usual account a day; the limit is 4800 calls for each."""

ACCOUNT = Bucket("account", 80002, "instagram", Limit(4800 * IMPRESSIONS, DAY_SECONDS))

RETENTION = timedelta(days=730)
STORY_LIFE = timedelta(hours=24)

SHARES = {
    "views": 1.0,
    "reach": 0.62,
    "likes": 0.05,
    "comments": 0.006,
    "shares": 0.01,
    "saved": 0.008,
    "total_interactions": 0.0,
    "follows": 0.001,
    "profile_visits": 0.004,
    "profile_activity": 0.002,
    "navigation": 0.8,
    "replies": 0.002,
    "ig_reels_avg_watch_time": 3.0,
    "ig_reels_video_view_total_time": 900.0,
}
"""Each metric's usual share of a post's size."""

_EVERY = frozenset({"views", "reach", "shares", "total_interactions"})
_LASTING = _EVERY | {"likes", "comments", "saved"}
_PROFILE = frozenset({"follows", "profile_visits", "profile_activity"})
SUPPORTED = {
    "FEED": _LASTING | _PROFILE,
    "REELS": _LASTING | {"ig_reels_avg_watch_time", "ig_reels_video_view_total_time"},
    "STORY": _EVERY | _PROFILE | {"navigation", "replies"},
}
"""By media_product_type."""

ALLOWED = (*SHARES, "crossposted_views", "facebook_views")
"""The metrics that the endpoint's schema lists, for any medium."""

_INTERACTIONS = ("likes", "comments", "shares", "saved", "replies")
_COUNT_FIELDS = {
    "like_count": "likes",
    "comments_count": "comments",
    "shares_count": "shares",
    "saved_count": "saved",
}
_MEDIA_TYPES = {None: "IMAGE", "STORY": "IMAGE", "REELS": "VIDEO"}
_SCOPES = {
    True: ("instagram_business_basic", "instagram_business_manage_insights"),
    False: ("instagram_basic", "instagram_manage_insights", "pages_read_engagement"),
}
"""The scopes that insights require, with Instagram Login (True) or Facebook Login."""


class Instagram:
    """Instagram media and their insights. Buckets: `account`, `app`."""

    platform = "instagram"

    def __init__(self, world: World, behaviour: Behaviour) -> None:
        self._world = world
        self._behaviour = behaviour
        self._graph = Graph(world, behaviour, self)

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer one request to either host, `request.url.host`."""
        return self._graph.handle(request)

    def bucket(self, account: Account) -> Bucket:
        """Return the account's limit."""
        return ACCOUNT

    def myself(self, call: Call, account: Account) -> dict[str, Any]:
        """Return the Instagram account, or, with Facebook Login, the person who logged in."""
        one = account.platform_account_id
        if call.host == INSTAGRAM_HOST or call.path == (one,):
            return {"id": one, "user_id": one, "username": account.name, "name": account.name}
        return {"id": f"122{one[-12:]}", "name": account.name}

    def post(self, object_id: str, accounts: Sequence[Account]) -> Post | None:
        """Return the medium."""
        return self._world.post(self.platform, object_id)

    def field(self, call: Call, account: Account, post: Post, name: str) -> Any:
        """Return a field of a medium; counts that the owner hides are left out."""
        if name in _COUNT_FIELDS:
            metric = _COUNT_FIELDS[name]
            return MISSING if post.hidden_counts else self._world.count(post, metric, SHARES[metric])
        if name == "total_views_count" and call.host != INSTAGRAM_HOST:
            return self._world.count(post, "views", SHARES["views"])
        product = product_type(post)
        values = {
            "media_type": _MEDIA_TYPES.get(post.media_type, post.media_type),
            "media_product_type": product,
            "timestamp": post.created_at.strftime("%Y-%m-%dT%H:%M:%S+0000"),
            "permalink": f"https://www.instagram.com/p/{post.platform_post_id}/",
            "caption": post.text or MISSING,
            "username": account.name,
        }
        if name not in values:
            raise errors.nonexistent_field(name, "Media")
        return values[name]

    def insights(
        self,
        call: Call,
        account: Account,
        post: Post,
        object_id: str,
        metrics: str | None,
    ) -> list[dict[str, Any]]:
        """Return the rows of the metrics, or refuse them all."""
        scopes = _SCOPES[call.host == INSTAGRAM_HOST]
        if account.personal or not account.scopes.issuperset(scopes):
            raise errors.missing_permission("Application does not have permission for this action")
        names = self._checked(call, post, metrics)
        age = self._world.now() - post.created_at
        if post.pre_business:
            raise _posted_before_conversion(call.host)
        if product_type(post) == "STORY":
            if post.few_viewers:
                raise _too_few_viewers(localised=self._behaviour.conditions.localised)
            if age > STORY_LIFE:
                raise errors.nonexistent_field("insights")
        if post.no_data or age > RETENTION:
            return []
        return [self._row(post, name) for name in names if name not in post.absent_metrics]

    def _checked(self, call: Call, post: Post, metrics: str | None) -> list[str]:
        """Return the requested metrics, or refuse those that are unknown or unsupported for this medium."""
        names = list(dict.fromkeys(name.strip() for name in (metrics or "").split(",")))
        retired = self._behaviour.conditions.retired_metrics
        allowed = [name for name in ALLOWED if name not in retired]
        for place, name in enumerate(names):
            if name not in allowed:
                listed = ", ".join(allowed)
                raise GraphError(100, f"metric[{place}] must be one of the following values: {listed}")
        if call.parameters.get("breakdown"):
            raise GraphError(1, "An unknown error has occurred.", status=500)
        if "crossposted_views" in names or "facebook_views" in names:
            raise GraphError(100, "Invalid parameter", subcode=2207086)
        supported = SUPPORTED.get(product_type(post), frozenset()) - post.refused_metrics
        if refused := [name for name in names if name not in supported]:
            listed = ", ".join(refused)
            message = (
                f"The Media Insights API does not support the {listed} metric for this media product type."
            )
            raise GraphError(100, message)
        return names

    def _row(self, post: Post, name: str) -> dict[str, Any]:
        if name == "total_interactions" and name not in post.counters:
            # As on the real platform, it is not exactly the sum of its parts.
            value = sum(self._world.count(post, part, SHARES[part]) for part in _INTERACTIONS)
            value += self._world.count(post, name, 0.001)
        else:
            value = self._world.count(post, name, SHARES[name])
        title = name.replace("_", " ").capitalize()
        return {
            "name": name,
            "period": "lifetime",
            "values": [{"value": value}],
            "title": title,
            "description": f"{title} of this medium.",
        }


def product_type(post: Post) -> str:
    """Return the media_product_type: the post's own, or what its media type suggests."""
    if post.product_type:
        return post.product_type
    return post.media_type if post.media_type in ("REELS", "STORY") else "FEED"


def _too_few_viewers(*, localised: bool) -> GraphError:
    english, other = "Not enough viewers for the media to show insights", "Não há visualizadores suficientes"
    return GraphError(10, other if localised else english)


def _posted_before_conversion(host: str) -> GraphError:
    """Return the permanent error; graph.instagram.com's is in the account's language, without titles."""
    if host == INSTAGRAM_HOST:
        return GraphError(100, "Parâmetro inválido", subcode=2108006)
    return GraphError(
        100,
        "Invalid parameter",
        subcode=2108006,
        is_transient=False,
        error_data={"blame_field_specs": [[""]]},
        error_user_title="Media posted before business account conversion",
        error_user_msg="The media was posted before the account was last converted to a business account.",
    )
