"""Free slots: what it brings to fill a request that costs the same whatever its number of ids.

TikTok's posts, fifty for each account. A request goes out when a row is due. The account's most urgent rows
ride along: those of whose interval the largest part has passed.
"""

import heapq
from collections.abc import Sequence
from typing import Final

from deploy.freshness.simulation.bound import errors_of
from deploy.freshness.simulation.policies import adaptive
from deploy.freshness.simulation.runs import Result, search
from deploy.freshness.simulation.worlds import HORIZON, TUNED, Post, make
from shared.batches import BATCH_SIZE
from shared.freshness.policy import LEAST_URGENT
from shared.freshness.rule import NOTICEABLE
from shared.vocabulary import Platform

_ACCOUNT: Final = 50
_ACCOUNTS: Final = 4
_SEED: Final = 5


def free_slots() -> str:
    """Compare the error with and without riding along, at an equal number of requests."""
    posts = [post for post in make(TUNED[0], 4_000, _SEED) if post.platform is Platform.TIKTOK]
    accounts = [posts[first : first + _ACCOUNT] for first in range(0, _ACCOUNT * _ACCOUNTS, _ACCOUNT)]
    alone = _run(accounts, 1.0, 1)
    full = search(
        lambda pressure: _run(accounts, pressure, BATCH_SIZE[Platform.TIKTOK]), alone.calls, tolerance=0.01
    )
    return (
        f"TikTok, {alone.calls:.1f} requests for each post: error {full.error:.1%} with free slots filled,"
        f" {alone.error:.1%} with one row in each request"
    )


def _run(accounts: Sequence[Sequence[Post]], pressure: float, size: int) -> Result:
    """Return what readers see; calls are requests for each post."""
    requests = reads = within = 0
    errors = 0.0
    for posts in accounts:
        refreshed, number = _refreshes(posts, pressure, size)
        requests += number
        for post, ages in zip(posts, refreshed, strict=True):
            for read_error in errors_of(post, ages[1:]):
                errors, within, reads = errors + read_error, within + (read_error <= NOTICEABLE), reads + 1
    return Result(requests / sum(map(len, accounts)), errors / reads, within / reads)


def _refreshes(posts: Sequence[Post], pressure: float, size: int) -> tuple[list[list[float]], int]:
    """Return the ages at which each post of one account is refreshed, and the number of requests."""
    policies = [adaptive(post, pressure) for post in posts]
    ages: list[list[float]] = [[] for _ in posts]
    next_at = [post.published for post in posts]
    due = [(at, number) for number, at in enumerate(next_at)]
    heapq.heapify(due)
    requests = 0
    while due:
        now, number = heapq.heappop(due)
        if now != next_at[number] or now >= posts[number].published + HORIZON:
            continue  # it has ridden along meanwhile, or its month is over
        requests += 1
        urgency = {}
        for one, post in enumerate(posts):
            if one != number and ages[one] and now < post.published + HORIZON:
                last = post.published + ages[one][-1]
                urgency[one] = (now - last) / (next_at[one] - last)
        urgent = sorted(
            (one for one in urgency if urgency[one] >= LEAST_URGENT), key=lambda one: -urgency[one]
        )
        for one in (number, *urgent[: size - 1]):
            age = now - posts[one].published
            hours = policies[one](age, posts[one].shown(age), posts[one].reads_before(age))
            ages[one].append(age)
            next_at[one] = now + hours
            heapq.heappush(due, (next_at[one], one))
    return ages, requests
