"""A fleet's budgets in a real Redis, with a clock that sleeping moves."""

from dataclasses import replace

import pytest

from shared.quota.budgets import Budgets
from shared.redis_client import RedisClient
from shared.settings import Settings
from tests.worker.quota.fake_clock import FakeClock
from worker.quota.fleet import FleetBudgets


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def fleet(client: RedisClient, clock: FakeClock) -> FleetBudgets:
    made = FleetBudgets.of(Settings(), client)
    return replace(made, budgets=Budgets(client, now=clock.micros))
