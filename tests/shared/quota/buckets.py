"""Buckets, a manual clock, and helpers that reserve calls."""

from datetime import timedelta

from shared.quota.budgets import Budgets, Decision
from shared.quota.limits import Bucket, Rate
from shared.vocabulary import BucketKind, Lane, Platform

SHARE = 0.15
START = 1_800_000_000_000_000
ENDPOINT = Bucket(Platform.TIKTOK, BucketKind.ENDPOINT, "video/query")
ACCOUNT = Bucket(Platform.TIKTOK, BucketKind.ACCOUNT, "acc_1")
MINUTE = timedelta(minutes=1)


class Clock:
    """A server clock in microseconds that moves only by `advance`."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        """Return the time."""
        return self.now

    def advance(self, span: timedelta) -> None:
        """Move the clock forward."""
        self.now += span // timedelta(microseconds=1)


def reserve(
    budgets: Budgets, *buckets: tuple[Bucket, Rate | None], lane: Lane = Lane.INTERACTIVE
) -> Decision:
    """Reserve one call."""
    return budgets.reserve(buckets, 1, lane)


def reserve_for(budgets: Budgets, clock: Clock, rate: Rate, span: timedelta, lane: Lane) -> list[int]:
    """Reserve calls as fast as the budget allows for a while; return their instants in microseconds."""
    end = clock.now + span // timedelta(microseconds=1)
    instants = []
    while clock.now < end:
        decision = reserve(budgets, (ENDPOINT, rate), lane=lane)
        if decision.wait:
            clock.advance(decision.wait)
        else:
            instants.append(clock.now)
    return instants
