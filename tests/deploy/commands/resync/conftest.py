"""Synced publications, and a worker that ends their refreshes."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shared.database import connect
from tests.deploy.commands.conftest import Dravo
from tests.deploy.commands.fake_worker import FakeWorker
from tests.deploy.commands.resync.resynced import LATER


@pytest.fixture
def synced(fleet: Dravo, sql: Any) -> Dravo:
    """Give commands with the fleet, every row synced and due in an hour."""
    sql(LATER)
    sql(
        "UPDATE post_analytics SET sync_status = 'synced', last_updated_at = now() - interval '2 days',"
        " attempted_at = now() - interval '2 days', outcome = 'synced'"
    )
    return fleet


@pytest.fixture
def worker(database_url: str) -> Iterator[Callable[..., FakeWorker]]:
    engine = connect(database_url, application="tests", pool_size=1)
    yield lambda **outcomes: FakeWorker(engine, outcomes)
    engine.dispose()
