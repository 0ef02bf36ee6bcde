"""How many publications of one account one job holds, and which platforms let free places be filled.

A job is bounded by its calls as well as by its rows: a slow platform makes a job of many calls long.
"""

from typing import Final

from shared.vocabulary import Platform

BATCH_SIZE: Final = {
    Platform.INSTAGRAM: 50,
    Platform.FACEBOOK: 50,
    Platform.X: 100,
    Platform.LINKEDIN: 20,
    Platform.TIKTOK: 20,
}
"""The platforms' own limits of ids per call, or what the fact sheets advise where none is published."""

LINKEDIN_MEMBER_CALLS: Final = 6
"""Calls for one post of a LinkedIn member: the statistics give one metric a call.

https://learn.microsoft.com/en-us/linkedin/marketing/community-management/members/post-statistics
"""
MOST_CALLS: Final = 30
"""Calls that one job may need where every publication has calls of its own."""

TOPPED_UP: Final = frozenset({Platform.X, Platform.LINKEDIN, Platform.TIKTOK})
"""Where a call costs the same however many ids it carries, so nearly due siblings travel along.

Meta counts every id of a batch as a call: pulling rows forward there would only spend.
"""


def batch_size(platform: Platform, kind: str | None) -> int:
    """Return how many publications of an account of this kind (``accounts.kind``) one job may hold."""
    if kind == "member":
        return min(BATCH_SIZE[platform], MOST_CALLS // LINKEDIN_MEMBER_CALLS)
    return BATCH_SIZE[platform]


def is_topped_up(platform: Platform, kind: str | None) -> bool:
    """Tell whether siblings that are nearly due may fill a job of an account of this kind."""
    return platform in TOPPED_UP and kind != "member"
