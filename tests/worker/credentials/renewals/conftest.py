"""A harness whose platform renews tokens, with budgets in Redis."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydantic import SecretStr

from shared.redis_client import RedisClient
from shared.settings import Settings
from tests.harness import Harness, open_harness
from worker.quota.fleet import FleetBudgets
from worker.readings import Tokens

NEW_PAIR = Tokens(SecretStr("new"), None, refresh_token=SecretStr("next"))


@pytest.fixture
def harness(database_url: str, client: RedisClient) -> Iterator[Harness]:
    with open_harness(database_url) as opened:
        budgets = FleetBudgets.of(Settings(), client)
        opened = replace(opened, context=replace(opened.context, budgets=budgets))
        opened.adapter.renewal = NEW_PAIR
        yield opened
