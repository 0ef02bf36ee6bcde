"""Services that wait long or hardly at all for refreshes."""

from collections.abc import Iterator

import pytest

from tests.api_stub import support
from tests.api_stub.support import Api


@pytest.fixture
def patient(database_url: str) -> Iterator[Api]:
    """Give a service with a long wait: a test that takes so long has found a defect."""
    with support.api(database_url, refresh_wait_seconds=20) as running:
        yield running


@pytest.fixture
def hasty(database_url: str) -> Iterator[Api]:
    """Give a service with a very short wait."""
    with support.api(database_url, refresh_wait_seconds=0.05) as running:
        yield running
