"""Instagram with both logins, or with one of them."""

import pytest

from tests.worker.adapters.meta.instagram.harness import Harness


@pytest.fixture(params=["facebook", "instagram"])
def harness(request: pytest.FixtureRequest) -> Harness:
    return Harness(request.param)


@pytest.fixture
def by_ids() -> Harness:
    return Harness("instagram")


@pytest.fixture
def by_batch() -> Harness:
    return Harness("facebook")
