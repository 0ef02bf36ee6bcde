"""Buckets to take from, and a clock to wait with."""

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
    """A server's clock that moves when it is told to, in microseconds."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        """Return the time."""
        return self.now

    def pass_(self, span: timedelta) -> None:
        """Move on."""
        self.now += span // timedelta(microseconds=1)


def take(budgets: Budgets, *wanted: tuple[Bucket, Rate | None], lane: Lane = Lane.INTERACTIVE) -> Decision:
    """Take one call."""
    return budgets.take(wanted, 1, lane)


def taken_in(budgets: Budgets, clock: Clock, rate: Rate, span: timedelta, lane: Lane) -> list[int]:
    """Take as fast as the budget allows for a while; return the instants, in microseconds."""
    end = clock.now + span // timedelta(microseconds=1)
    instants = []
    while clock.now < end:
        decision = take(budgets, (ENDPOINT, rate), lane=lane)
        if decision.wait:
            clock.pass_(decision.wait)
        else:
            instants.append(clock.now)
    return instants
