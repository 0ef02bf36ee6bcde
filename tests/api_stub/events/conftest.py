"""A service that accepts events."""

from collections.abc import Iterator

import pytest

from shared.accounts.vault import new_key
from tests.api_stub import support
from tests.api_stub.events.sent import TOKEN
from tests.api_stub.support import Api


@pytest.fixture
def api(database_url: str) -> Iterator[Api]:
    """Give a service that accepts events."""
    with support.api(database_url, internal_token=TOKEN, secret_keys=new_key()) as running:
        yield running
