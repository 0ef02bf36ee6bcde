"""Fixtures of the sender's tests: rows, a receiver, and a sender whose steps the test takes."""

from collections.abc import Iterator

import pytest

from tests.harness import Harness
from tests.worker.webhooks.receiver import Receiver, receiver
from tests.worker.webhooks.world import World, open_world


@pytest.fixture
def receiving() -> Iterator[Receiver]:
    """Give a receiver on loopback."""
    with receiver() as running:
        yield running


@pytest.fixture
def world(harness: Harness, receiving: Receiver) -> Iterator[World]:
    """Give an account with an endpoint that follows from the present."""
    with open_world(harness, receiving) as opened:
        yield opened
