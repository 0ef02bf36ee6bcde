"""The fixture of Facebook's tests."""

import pytest

from tests.worker.adapters.meta.facebook.harness import Harness


@pytest.fixture
def harness() -> Harness:
    return Harness()
