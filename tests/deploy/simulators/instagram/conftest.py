"""Fixtures: media of each kind on both hosts of the simulated Instagram."""

from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from deploy.simulators.server import Simulators
from deploy.simulators.world import Post
from tests.deploy.simulators.clock import Clock
from tests.deploy.simulators.example import NOW
from tests.deploy.simulators.instagram.harness import BUSINESS, COUNTERS, LOGIN


@pytest.fixture
def sims(clock: Clock) -> Simulators:
    sims = Simulators(seed=7, now=clock)
    sims.world.add_accounts([LOGIN, BUSINESS])
    for first, owner in ((100, LOGIN), (200, BUSINESS)):
        sims.world.add_posts(
            Post(
                "instagram",
                f"17900000000000{first + place}",
                owner.platform_account_id,
                NOW - timedelta(hours=2),
                media_type=kind,
                counters=COUNTERS,
            )
            for place, kind in enumerate(["IMAGE", "REELS", "STORY", "CAROUSEL_ALBUM", "VIDEO"])
        )
    return sims


@pytest.fixture
def client(sims: Simulators) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url="https://graph.instagram.com/v25.0",
        headers={"Authorization": "Bearer IGAAtoken"},
        transport=sims.transport(),
    ) as client:
        yield client


@pytest.fixture
def facebook(sims: Simulators) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url="https://graph.facebook.com/v25.0",
        headers={"Authorization": "Bearer EAAuser"},
        transport=sims.transport(),
    ) as client:
        yield client
