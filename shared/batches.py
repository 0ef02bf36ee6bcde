"""Batch sizes: how many publications of one account one job and one call hold, and which calls are topped up.

A job of the background lane holds several calls, because a job has a fixed price. It is bounded by its calls
as well as by its rows: on a slow platform, a job of many calls takes long. A job of the interactive lane, for
which somebody waits, holds one call, so that several threads share the work.
"""

from math import ceil
from typing import Final

from shared.vocabulary import Lane, Platform

BATCH_SIZE: Final = {
    Platform.INSTAGRAM: 50,
    Platform.FACEBOOK: 50,
    Platform.X: 100,
    Platform.LINKEDIN: 20,
    Platform.TIKTOK: 20,
}
"""Ids in one call: the platform's limit, or our choice where there is none."""

JOB_SIZE: Final = 100
"""Publications in one job of the background lane at most."""

IDS_PER_INSTAGRAM_LOGIN_CALL: Final = 25
"""Ids that one call carries on the host of Instagram Login, which has no batch endpoint."""

LINKEDIN_MEMBER_CALLS: Final = 6
"""Calls for one post of a LinkedIn member: the statistics endpoint returns one metric per call.

https://learn.microsoft.com/en-us/linkedin/marketing/community-management/members/post-statistics
"""
MOST_CALLS: Final = 30
"""The most calls that one job may need where every publication needs calls of its own."""

TOPPED_UP: Final = frozenset({Platform.X, Platform.LINKEDIN, Platform.TIKTOK})
"""Platforms where a call costs the same whatever its number of ids, so nearly due siblings fill up a call.

Meta counts every id of a batch as a call: refreshing rows early there would only spend calls.
"""


def job_size(platform: Platform, kind: str | None, lane: Lane) -> int:
    """Return how many publications of an account of this kind (``accounts.kind``) one job may hold."""
    if kind == "member":
        return min(BATCH_SIZE[platform], MOST_CALLS // LINKEDIN_MEMBER_CALLS)
    return JOB_SIZE if lane is Lane.BACKGROUND else BATCH_SIZE[platform]


def calls(platform: Platform, kind: str | None, publications: int) -> int:
    """Return how many calls so many publications of one account need: the unit of fair shares."""
    if kind == "member":
        return publications * LINKEDIN_MEMBER_CALLS
    return ceil(publications / BATCH_SIZE[platform])


def is_topped_up(platform: Platform, kind: str | None) -> bool:
    """Return whether siblings that are nearly due fill up a call for an account of this kind."""
    return platform in TOPPED_UP and kind != "member"
