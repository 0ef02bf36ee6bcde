"""Fixtures of the read API's tests."""

from collections.abc import Iterator

import pytest

from tests.api_stub import support


@pytest.fixture
def api(database_url: str) -> Iterator[support.Api]:
    """Give a running service on a new database."""
    with support.api(database_url) as running:
        yield running
