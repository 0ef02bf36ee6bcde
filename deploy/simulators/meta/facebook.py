"""Facebook Page posts on graph.facebook.com.

https://developers.facebook.com/docs/graph-api/reference/insights
https://developers.facebook.com/docs/platforminsights/page/deprecated-metrics
One unknown metric refuses the whole request and names nothing. Without one of the scopes the answer is an
empty list, not an error, unless `missing_scopes_named`. A bare video or photo id has no insights;
`{page}_{id}` has.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import httpx

from deploy.simulators.behaviour import Behaviour, Limit
from deploy.simulators.meta import errors
from deploy.simulators.meta.call import Call
from deploy.simulators.meta.errors import GraphError
from deploy.simulators.meta.graph import MISSING, Graph
from deploy.simulators.meta.limits import DAY_SECONDS, HOUR_SECONDS, Bucket
from deploy.simulators.world import Account, Post, World

ENGAGED_USERS = 25
"""Engaged users of a usual page a day; the limit is 4800 calls for each."""

PAGE = Bucket("page", 80001, "pages", Limit(4800 * ENGAGED_USERS, DAY_SECONDS))
USER = Bucket("user", 32, None, Limit(4800, HOUR_SECONDS))

RETENTION = timedelta(days=730)

REACTIONS = {"like": 0.02, "love": 0.006, "haha": 0.002, "wow": 0.001, "sorry": 0.0004, "anger": 0.0003}
"""Usual shares of a post's size."""

METRICS = {
    "post_clicks": 0.03,
    "post_clicks_by_type": 0.03,
    "post_reactions_by_type_total": 0.0,
    "post_activity_by_action_type": 0.02,
    "post_activity_by_action_type_unique": 0.018,
    "post_media_view": 1.0,
    "post_total_media_view_unique": 0.7,
    "post_video_views": 0.4,
}
"""The metrics still offered, in every API version. `post_engaged_users` and impressions are retired."""

ENGAGEMENT_NEEDED = (
    "This endpoint requires the 'pages_read_engagement' permission "
    "or the 'Page Public Content Access' feature."
)
NO_OBJECT = (
    "Object does not exist, cannot be loaded due to missing permission or reviewable feature, or does not "
    f"support this operation. {ENGAGEMENT_NEEDED}"
)

_MAPS = {
    "post_clicks_by_type": ("link clicks", "other clicks"),
    "post_activity_by_action_type": ("like", "comment", "share"),
    "post_activity_by_action_type_unique": ("like", "comment", "share"),
}
_SUMMARIES = {"reactions": 0.03, "likes": 0.02, "comments": 0.004}


class Facebook:
    """The Page API. Buckets: `page` (Page and system-user tokens), `user`, `app`."""

    platform = "facebook"

    def __init__(self, world: World, behaviour: Behaviour) -> None:
        self._world = world
        self._behaviour = behaviour
        self._graph = Graph(world, behaviour, self)

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer one request to graph.facebook.com."""
        return self._graph.handle(request)

    def bucket(self, account: Account) -> Bucket:
        """Return the Page's limit, or the token's when a user token reads the Page."""
        return USER if account.kind == "user" else PAGE

    def myself(self, call: Call, account: Account) -> dict[str, Any]:
        """Return the Page."""
        return {"id": account.platform_account_id, "name": account.name}

    def post(self, object_id: str, accounts: Sequence[Account]) -> Post | None:
        """Return the post of `{page}_{post}`, or of a bare video or photo id."""
        match = self._world.post(self.platform, object_id)
        if match is None and "_" in object_id:
            page, _, bare = object_id.partition("_")
            match = self._world.post(self.platform, bare)
            return match if match and match.owner == page else None
        if match is None:
            ids = (f"{account.platform_account_id}_{object_id}" for account in accounts)
            match = next(filter(None, (self._world.post(self.platform, one) for one in ids)), None)
        return match

    def field(self, call: Call, account: Account, post: Post, name: str) -> Any:
        """Return a field of a post; other people's content needs its own permission."""
        if name in _SUMMARIES:
            if "pages_read_user_content" not in account.scopes:
                # Like the real one, the message names the wrong permission.
                raise errors.missing_permission(ENGAGEMENT_NEEDED)
            return {"data": [], "summary": {"total_count": self._world.count(post, name, _SUMMARIES[name])}}
        values = {
            "created_time": post.created_at.strftime("%Y-%m-%dT%H:%M:%S+0000"),
            "message": post.text or MISSING,
            "permalink_url": f"https://www.facebook.com/{post.platform_post_id}",
            "shares": {"count": self._world.count(post, "shares", 0.003)},
        }
        if name not in values:
            raise errors.nonexistent_field(name, "Post")
        return values[name]

    def insights(
        self,
        call: Call,
        account: Account,
        post: Post,
        object_id: str,
        metrics: str | None,
    ) -> list[dict[str, Any]]:
        """Return the rows of the metrics. One unknown or retired metric refuses them all."""
        if "_" not in object_id:
            raise errors.nonexistent_field("insights")
        if not metrics:
            raise GraphError(3001, "No metric was specified to be fetched.", subcode=1504028)
        names = list(dict.fromkeys(name.strip() for name in metrics.split(",")))
        if any(name not in METRICS or name in self._refused(post) for name in names):
            raise GraphError(100, "The value must be a valid insights metric")
        if not self._permitted(account) or post.no_data or self._world.now() - post.created_at > RETENTION:
            return []
        return [self._row(post, name) for name in names if name not in post.absent_metrics]

    def _refused(self, post: Post) -> frozenset[str]:
        return self._behaviour.conditions.retired_metrics | post.refused_metrics

    def _permitted(self, account: Account) -> bool:
        lacking = {"read_insights", "pages_read_engagement"} - account.scopes
        if lacking and self._behaviour.conditions.missing_scopes_named:
            if "pages_read_engagement" in lacking:
                raise GraphError(100, NO_OBJECT, outcome="refused_auth")
            raise errors.missing_permission("read_insights permission missing", code=200)
        return not lacking

    def _row(self, post: Post, name: str) -> dict[str, Any]:
        return {
            "name": name,
            "period": "lifetime",
            "values": [{"value": self._value(post, name)}],
            "title": f"Lifetime {name.replace('_', ' ')}.",
            "description": f"Lifetime: {name}.",
        }

    def _value(self, post: Post, name: str) -> int | dict[str, int]:
        if name == "post_reactions_by_type_total":
            exact = post.counters.get(name)
            counted = {kind: self._world.count(post, kind, share) for kind, share in REACTIONS.items()}
            if exact is not None:
                counted = {"like": exact}
            elif any(kind in post.counters for kind in REACTIONS):
                counted = {kind: post.counters.get(kind, 0) for kind in REACTIONS}
            return {kind: number for kind, number in counted.items() if number}
        counter = "post_clicks" if name == "post_clicks_by_type" else name
        total = self._world.count(post, counter, METRICS[name])
        if name not in _MAPS:
            return total
        first, *others = _MAPS[name]
        part = total // (len(others) + 2)
        return {first: total - part * len(others), **dict.fromkeys(others, part)} if total else {}
