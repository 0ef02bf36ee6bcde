"""Fixtures: running simulators and their clients."""

from collections.abc import Iterator

import httpx
import pytest

from deploy.simulators.behaviour import Behaviour
from deploy.simulators.server import Simulators
from tests.deploy.simulators.clock import Clock
from tests.deploy.simulators.example import NOW, PAGE, POST


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.now = NOW
    return clock


@pytest.fixture
def behaviour() -> Behaviour:
    return Behaviour()


@pytest.fixture
def sims() -> Iterator[Simulators]:
    with Simulators(seed=7) as sims:
        sims.world.add_accounts([PAGE])
        sims.world.add_posts([POST])
        yield sims


@pytest.fixture
def client(sims: Simulators) -> Iterator[httpx.Client]:
    headers = {"Authorization": "Bearer EAApage-token"}
    with httpx.Client(base_url=sims.urls["meta_graph"], headers=headers, timeout=30) as client:
        yield client


@pytest.fixture
def control(sims: Simulators) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sims.urls["control"], timeout=30) as client:
        yield client
