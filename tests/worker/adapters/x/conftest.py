"""The fixture of X's tests."""

import pytest

from tests.worker.adapters.x.harness import Harness


@pytest.fixture
def harness() -> Harness:
    return Harness()
