"""Two endpoints of one workspace."""

import pytest

from tests.harness import Harness
from tests.shared.webhooks.stored import add


@pytest.fixture
def pair(harness: Harness) -> tuple[str, str]:
    """Store an account and two endpoints of its workspace; return their ids."""
    harness.account("acc_1")
    return add(harness)[0], add(harness)[0]
