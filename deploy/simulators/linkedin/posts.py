"""The posts of the simulated LinkedIn and their statistics, for organizations and members.

https://learn.microsoft.com/en-us/linkedin/marketing/community-management: organizations/share-statistics,
members/post-statistics, shares/posts-api. Statistics cover the last twelve months, and a post without any
activity is left out rather than shown with zeros.
"""

from collections.abc import Sequence
from datetime import UTC, timedelta
from hashlib import blake2b
from typing import Any

from deploy.simulators.behaviour import Behaviour
from deploy.simulators.world import Account, Post, World

WINDOW = timedelta(days=365)

STATISTICS = {
    "impressionCount": 1.0,
    "uniqueImpressionsCount": 0.4,
    "clickCount": 0.03,
    "likeCount": 0.02,
    "commentCount": 0.004,
    "shareCount": 0.003,
}
"""The counters of an organization's post, each with its usual share. `Post.counters` takes these names."""

MEMBER_METRICS = {
    "IMPRESSION": "impressionCount",
    "MEMBERS_REACHED": "uniqueImpressionsCount",
    "RESHARE": "shareCount",
    "REACTION": "likeCount",
    "COMMENT": "commentCount",
}
"""The metrics of a member's post, each with its counter."""

MEMBER_METRICS_202604 = {
    "LINK_CLICKS": "clickCount",
    "POST_SAVE": "saveCount",
    "POST_SEND": "sendCount",
    "PREMIUM_CTA_CLICKS": "premiumCtaClickCount",
    "FOLLOWER_GAINED_FROM_CONTENT": "followerGainedCount",
    "PROFILE_VIEW_FROM_CONTENT": "profileViewCount",
}
"""Those added in version 202604."""

_ENGAGEMENTS = ("clickCount", "likeCount", "commentCount", "shareCount")
_RARE_SHARE = 0.002
_METRIC_TYPE = "com.linkedin.adsexternalapi.memberanalytics.v1.CreatorPostAnalyticsMetricTypeV1"


class Posts:
    """The world's posts in LinkedIn's form. Post ids are URNs, owners' ids URNs or their last part."""

    def __init__(self, world: World, behaviour: Behaviour) -> None:
        self._world = world
        self._behaviour = behaviour

    def is_foreign(self, urn: str, holders: Sequence[Account]) -> bool:
        """Return whether the post exists and belongs to none of these accounts."""
        post = self._world.post("linkedin", urn)
        return post is not None and bare(post.owner) not in {bare(one.platform_account_id) for one in holders}

    def existing(self, urn: str) -> Post | None:
        """Return the post, or None when it is deleted or unknown."""
        post = self._world.post("linkedin", urn)
        return None if post is None or post.deleted else post

    def statistics(self, organization: Account, urns: Sequence[str]) -> list[dict[str, Any]]:
        """Return one element for each post with activity; the others are left out."""
        elements = []
        # The vendor promises no order, so it never is that of the request.
        for urn in sorted(set(urns), key=lambda one: blake2b(one.encode()).digest()):
            post = self.existing(urn)
            if post is None or self.is_foreign(urn, [organization]) or self._world.age(post) > WINDOW:
                continue
            counters = self._counters(post)
            if any(counters.values()):
                elements.append(
                    _element(organization, counters, {urn.split(":")[2]: urn}, post.absent_metrics)
                )
        return elements

    def totals(self, organization: Account) -> list[dict[str, Any]]:
        """Return the one element of a lookup without posts: the organization's sums."""
        sums = dict.fromkeys(STATISTICS, 0)
        for post in self._world.posts("linkedin", organization.platform_account_id):
            if not post.deleted and self._world.age(post) <= WINDOW:
                for name, value in self._counters(post).items():
                    sums[name] += value
        return [_element(organization, sums, {}, frozenset())]

    def member_analytics(self, post: Post, metric: str, *, typed: bool) -> list[dict[str, Any]]:
        """Return the element of one metric of a member's post; none while it has no activity.

        `typed`: the metric's name is wrapped in an object, as it was before version 202605.
        """
        if not any(self._counters(post).values()) or metric in post.absent_metrics:
            return []
        name = (MEMBER_METRICS | MEMBER_METRICS_202604)[metric]
        urn = post.platform_post_id
        kind = "ugc" if urn.split(":")[2] == "ugcPost" else "share"
        return [
            {
                "count": self._world.count(post, name, STATISTICS.get(name, _RARE_SHARE)),
                "metricType": {_METRIC_TYPE: metric} if typed else metric,
                "targetEntity": {kind: urn},
            }
        ]

    def shown(self, post: Post, owner: Account) -> dict[str, Any]:
        """Return the post itself."""
        published_at = int(post.created_at.astimezone(UTC).timestamp() * 1000)
        return {
            "id": post.platform_post_id,
            "author": author_urn(owner),
            "commentary": post.text,
            "createdAt": published_at,
            "publishedAt": published_at,
            "lastModifiedAt": published_at,
            "lifecycleState": "PUBLISHED",
            "visibility": "PUBLIC",
        }

    def _counters(self, post: Post) -> dict[str, int]:
        if post.no_data:
            return dict.fromkeys(STATISTICS, 0)
        return {name: self._world.count(post, name, share) for name, share in STATISTICS.items()}


def bare(account_id: str) -> str:
    """Return the last part of an account's id, which may be a whole URN."""
    return account_id.rpartition(":")[2]


def author_urn(account: Account) -> str:
    """Return the URN of an account."""
    kind = "person" if account.kind == "member" else "organization"
    return f"urn:li:{kind}:{bare(account.platform_account_id)}"


def _element(
    organization: Account, counters: dict[str, int], target: dict[str, str], absent: frozenset[str]
) -> dict[str, Any]:
    seen = counters["impressionCount"]
    engagement = sum(counters[name] for name in _ENGAGEMENTS) / seen if seen else 0.0
    shown = {**counters, "engagement": engagement}
    statistics = {name: value for name, value in shown.items() if name not in absent}
    return {"organizationalEntity": author_urn(organization), **target, "totalShareStatistics": statistics}
