"""Budgets that follow a script, and the numbers and refusals of answers."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from prometheus_client import REGISTRY

from shared.quota.budgets import BucketRates, Decision
from shared.quota.limits import Bucket, bucket
from shared.vocabulary import BucketKind, Lane, Platform
from tests.worker.quota.fake_clock import FakeClock
from worker.errors import Paused
from worker.quota.gate import JobBudget
from worker.readings import Limit

HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
APP = bucket(Platform.FACEBOOK, "acc_1", BucketKind.APP, None)
ACCOUNT = bucket(Platform.FACEBOOK, "acc_1", BucketKind.ACCOUNT, None)
ENDPOINT = bucket(Platform.FACEBOOK, "acc_1", BucketKind.ENDPOINT, "insights")


@dataclass
class Calls:
    """Budgets and breakers in one: follows a script of decisions and records every call."""

    decisions: list[Decision] = field(default_factory=list)
    opens_for: timedelta | None = None
    made: list[tuple[object, ...]] = field(default_factory=list)

    def reserve(self, buckets: BucketRates, cost: int, lane: Lane) -> Decision:
        """Return the next decision; without one left, the call is reserved."""
        assert {one.kind for one, _ in buckets} <= set(BucketKind)
        self.made.append(("reserve", cost, lane))
        return self.decisions.pop(0) if self.decisions else Decision(timedelta())

    def failed(self, *arguments: object) -> timedelta | None:
        """Return how long the breaker opens."""
        self.made.append(("failed", *arguments))
        return self.opens_for

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **named: self.made.append((name, *arguments, *named.values()))


def ask(budget: JobBudget, cost: int = 1) -> None:
    budget.acquire(Platform.FACEBOOK, "acc_1", "insights", cost)


def waits(*seconds: float, **fields: Any) -> list[Decision]:
    return [Decision(timedelta(seconds=one), ACCOUNT, **fields) for one in seconds]


def metric(name: str, kind: BucketKind) -> float:
    labels = {"platform": "facebook", "kind": kind.value}
    return REGISTRY.get_sample_value(f"dravo_{name}", labels) or 0.0


def limited(clock: FakeClock, kind: BucketKind = BucketKind.ACCOUNT, **fields: Any) -> Limit:
    resets_in = fields.pop("resets_in", None)
    return Limit(kind, None, resets_at=clock.now() + resets_in if resets_in else None, **fields)


def refusal(clock: FakeClock, **fields: Any) -> Paused:
    return Paused("Limit.", kind=BucketKind.ACCOUNT, endpoint="insights", until=clock.now() + HOUR, **fields)


def after(calls: Calls, *probes: Bucket) -> None:
    """Let the next call be the first one after a pause of these buckets."""
    calls.decisions = [Decision(timedelta(), probes=probes)]
