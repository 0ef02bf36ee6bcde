"""The fleet's budgets, circuit breakers and limits, as a worker process holds them for all of its jobs."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from shared.quota.budgets import Budgets
from shared.quota.call_counts import CallCounter
from shared.quota.limits import Limits
from shared.redis_client import RedisClient
from shared.settings import Settings
from worker.quota.breaker import Breakers

_LONGEST_WAIT_SHARE: Final = 6  # of the lease


@dataclass(frozen=True, slots=True)
class FleetBudgets:
    """What a job needs of the fleet's shared quota state."""

    budgets: Budgets
    breakers: Breakers
    limits: Limits
    steer_percent: int
    park_percent: int
    longest_wait: timedelta
    """How long a job may wait for its budgets in all, occupying its thread, before its rows are deferred."""
    calls: CallCounter = field(default_factory=CallCounter)

    @classmethod
    def of(cls, settings: Settings, client: RedisClient) -> "FleetBudgets":
        """Return them as the settings configure them."""
        return cls(
            Budgets(
                client,
                interactive_share=settings.interactive_share,
                offline_calls_per_minute=settings.offline_calls_per_minute,
            ),
            Breakers(
                client,
                failures=settings.breaker_failures,
                open_for=timedelta(seconds=settings.breaker_seconds),
                longest=max(settings.lease, timedelta(seconds=settings.breaker_seconds)),
            ),
            Limits.parse(settings.limits),
            settings.meta_steer_percent,
            settings.meta_park_percent,
            settings.lease / _LONGEST_WAIT_SHARE,
            CallCounter(client),
        )
