"""Fixtures: a page with sixty posts, and the simulated Page API."""

from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from deploy.simulators.server import Simulators
from deploy.simulators.world import Post
from tests.deploy.simulators.clock import Clock
from tests.deploy.simulators.example import NOW
from tests.deploy.simulators.facebook.harness import PAGE, TOKEN


@pytest.fixture
def sims(clock: Clock) -> Simulators:
    sims = Simulators(seed=7, now=clock)
    sims.world.add_accounts([PAGE])
    counters = {"post_clicks": 41, "like": 30, "love": 7, "haha": 1, "sorry": 1}
    posts = [
        Post("facebook", f"1000_{number}", "1000", NOW - timedelta(days=1), counters=counters)
        for number in range(2000, 2060)
    ]
    sims.world.add_posts(posts)
    return sims


@pytest.fixture
def client(sims: Simulators) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(
        base_url="https://graph.facebook.com/v25.0", headers=headers, transport=sims.transport()
    ) as client:
        yield client
