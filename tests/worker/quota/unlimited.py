"""Budgets and circuit breakers that allow every call, for tests that are not about budgets."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from shared.quota.budgets import BucketRates, Budgets, Decision
from shared.quota.limits import Bucket, Limits
from shared.vocabulary import Lane, Platform
from worker.quota.breaker import Breakers
from worker.quota.fleet import FleetBudgets


class _UnlimitedBudgets(Budgets):
    def __init__(self) -> None:
        """Need no Redis."""

    def reserve(self, buckets: BucketRates, cost: int, lane: Lane) -> Decision:  # noqa: ARG002 - the interface's
        return Decision(timedelta())

    def pause(self, bucket: Bucket, left: timedelta, *, refused: bool = False) -> None: ...
    def defer_background(self, bucket: Bucket, left: timedelta) -> None: ...
    def update(self, bucket: Bucket, *, remaining: int, limit: int | None, left: timedelta) -> None: ...
    def probe_succeeded(self, buckets: Sequence[Bucket]) -> None: ...
    def count_refusal(self, bucket: Bucket) -> None: ...
    def reopen(self, bucket: Bucket, since: datetime) -> None: ...


class _ClosedBreakers(Breakers):
    def __init__(self) -> None:
        """Need no Redis."""

    def failed(self, platform: Platform, endpoint: str) -> None: ...
    def succeeded(self, platform: Platform, endpoint: str) -> None: ...


def unlimited_budgets() -> FleetBudgets:
    """Return budgets that allow every call."""
    return FleetBudgets(_UnlimitedBudgets(), _ClosedBreakers(), Limits.parse(""), 10_000, 10_000, timedelta())
