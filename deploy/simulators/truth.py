"""The leading number of a simulated post at this instant: what an audit compares served numbers with."""

from collections.abc import Mapping
from typing import Final

from deploy.simulators.linkedin.posts import STATISTICS
from deploy.simulators.meta import facebook, instagram
from deploy.simulators.tiktok.tiktok import COUNTERS
from deploy.simulators.world import World
from deploy.simulators.x.posts import PUBLIC

_LEADING: Final[Mapping[str, Mapping[str, float]]] = {
    "instagram": {"views": instagram.SHARES["views"]},
    "facebook": {"post_clicks": facebook.METRICS["post_clicks"], **facebook.REACTIONS},
    "x": {"impression_count": PUBLIC["impression_count"]},
    "linkedin": {"impressionCount": STATISTICS["impressionCount"]},
    "tiktok": {"view_count": COUNTERS["view_count"]},
}
"""The counters that make the leading number of each platform, with their usual shares of a post's size."""


def number_now(world: World, platform: str, post_id: str) -> int | None:
    """Return the number; ``None`` for a post that the platform does not have or has no numbers for."""
    post = world.post(platform, post_id)
    if post is None or post.deleted or post.no_data:
        return None
    return sum(world.count(post, metric, share) for metric, share in _LEADING[platform].items())
