"""The fixture of TikTok's tests."""

import pytest

from tests.worker.adapters.tiktok.harness import Harness


@pytest.fixture
def harness() -> Harness:
    return Harness()
