"""Budgets in a real Redis server, on a clock of the test."""

import pytest

from shared.quota.budgets import Budgets
from shared.redis_client import RedisClient
from tests.shared.quota.buckets import SHARE, Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def budgets(client: RedisClient, clock: Clock) -> Budgets:
    return Budgets(client, interactive_share=SHARE, now=clock)
