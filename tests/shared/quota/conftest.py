"""Budgets in a real Redis server, on the test's own clock."""

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
