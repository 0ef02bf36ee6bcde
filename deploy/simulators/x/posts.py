"""The posts of the simulated X: visibility, metrics and edit history.

https://docs.x.com/x-api/posts/lookup and x-api/fundamentals/metrics. Private metrics exist for the author's
own posts of the last 30 days; requested for any other post, they turn the whole post into an error.
"""

from collections.abc import Sequence
from datetime import UTC, timedelta
from hashlib import blake2b
from typing import Any

from deploy.simulators.behaviour import Behaviour
from deploy.simulators.world import Account, Post, World
from deploy.simulators.x.answers import Entry, field_refused, not_authorized, not_found, unhydrated

PRIVATE_AGE = timedelta(days=30)

PUBLIC = {
    "retweet_count": 0.008,
    "reply_count": 0.005,
    "like_count": 0.04,
    "quote_count": 0.002,
    "bookmark_count": 0.004,
    "impression_count": 1.0,
}
"""The public metrics, each with its usual share of a post's size. `Post.counters` takes these names."""

_OWN = {"url_link_clicks": 0.012, "user_profile_clicks": 0.006, "engagements": 0.07}
_SHARES = PUBLIC | _OWN
_ORGANIC = (
    "impression_count",
    "like_count",
    "reply_count",
    "retweet_count",
    "url_link_clicks",
    "user_profile_clicks",
)
PRIVATE: dict[str, tuple[str, ...]] = {
    "non_public_metrics": ("impression_count", *_OWN),
    "organic_metrics": _ORGANIC,
    "promoted_metrics": _ORGANIC,
}
"""The private blocks and their metrics. No simulated post is promoted: its block is always refused."""

_BLOCKS = {"public_metrics": tuple(PUBLIC), **PRIVATE}
FIELDS = frozenset({"id", "text", "created_at", "author_id", *_BLOCKS})
"""The fields that may be requested, besides the edit history."""


class Posts:
    """The world's posts in X's form."""

    def __init__(self, world: World, behaviour: Behaviour) -> None:
        self._world = world
        self._behaviour = behaviour
        self._former: dict[str, str] = {}
        world.watch(self._remember_edit)
        for post in world.posts("x"):
            self._remember_edit(post)

    @property
    def history_name(self) -> str:
        """Return the current name of the edit history field."""
        return f"edit_history_{'post' if self._behaviour.conditions.renamed_answer else 'tweet'}_ids"

    def look_up(
        self, ids: Sequence[str], fields: Sequence[str], caller: Account | None
    ) -> tuple[list[dict[str, Any]], list[Entry]]:
        """Return `data` and `errors`; `caller` is None for the app itself."""
        by_id: dict[str, Post] = {}
        errors: list[Entry] = []
        for one in ids:
            post = self._newest(one)
            refused = self._refused(one, post, fields, caller)
            errors += refused
            if post is not None and not refused:
                by_id[post.platform_post_id] = post
        # The vendor promises no order, so it never is that of the request.
        order = sorted(by_id, key=lambda post_id: blake2b(post_id.encode()).digest())
        return [self._to_json(by_id[post_id], fields) for post_id in order], errors

    def _refused(
        self, one: str, post: Post | None, fields: Sequence[str], caller: Account | None
    ) -> list[Entry]:
        if post is None or post.deleted:
            return [not_found(one)]
        owner = self._world.account("x", post.owner)
        own = caller is not None and caller.platform_account_id == post.owner
        if (owner is not None and owner.suspended) or ((post.protected or post.private) and not own):
            return [not_authorized(one)]
        if one in self._behaviour.conditions.unhydrated_posts:
            return [unhydrated(one)]
        private = own and self._world.age(post) < PRIVATE_AGE
        return [
            field_refused(one, f"{block}.{self._wire_name(metric)}")
            for block in fields
            if block in PRIVATE and (block == "promoted_metrics" or not private)
            for metric in PRIVATE[block]
        ]

    def _to_json(self, post: Post, fields: Sequence[str]) -> dict[str, Any]:
        result: dict[str, Any] = {
            "id": post.platform_post_id,
            "text": post.text,
            self.history_name: self._history(post),
        }
        if "created_at" in fields:
            created_at = post.created_at.astimezone(UTC)
            result["created_at"] = created_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if "author_id" in fields:
            result["author_id"] = post.owner
        for block in fields:
            if block in _BLOCKS:
                result[block] = self._metrics(post, _BLOCKS[block])
        return result

    def _metrics(self, post: Post, metrics: Sequence[str]) -> dict[str, int]:
        return {
            self._wire_name(metric): self._world.count(post, metric, _SHARES[metric])
            for metric in metrics
            if metric not in post.absent_metrics
        }

    def _wire_name(self, metric: str) -> str:
        return (
            "repost_count"
            if metric == "retweet_count" and self._behaviour.conditions.renamed_answer
            else metric
        )

    # Edits: each version is a post of its own, and a lookup of any version returns the newest

    def _remember_edit(self, value: Account | Post | None) -> None:
        if value is None:
            self._former.clear()
        elif isinstance(value, Post) and value.platform == "x" and value.replaced_by:
            self._former[value.replaced_by] = value.platform_post_id

    def _newest(self, one: str) -> Post | None:
        post = self._world.post("x", one)
        while post is not None and post.replaced_by:
            post = self._world.post("x", post.replaced_by)
        return post

    def _history(self, post: Post) -> list[str]:
        versions = [post.platform_post_id]
        while (former := self._former.get(versions[0])) is not None:
            versions.insert(0, former)
        return versions
