"""A synced publication for re-syncs."""

from typing import Any

import pytest

from tests.deploy.commands.conftest import Dravo
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
