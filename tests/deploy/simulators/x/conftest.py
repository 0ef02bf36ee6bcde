"""Fixtures: a world with a few accounts and posts, and the simulated X."""

from datetime import timedelta

import httpx
import pytest

from deploy.simulators.behaviour import Behaviour
from deploy.simulators.world import Account, Post, World
from deploy.simulators.x.x import X
from tests.deploy.simulators.clock import Clock
from tests.deploy.simulators.x.harness import DELETED, FOREIGN, OLD, OTHER, POST, USER, Get


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world(clock: Clock) -> World:
    world = World(seed=1, now=clock)
    scopes = frozenset({"tweet.read", "users.read", "offline.access"})
    world.add_accounts(
        [
            Account(
                "x",
                USER,
                "user-token",
                scopes=scopes,
                access_token_expires_at=clock.now + timedelta(hours=2),
                refresh_token="refresh-1",
            ),
            Account("x", OTHER, "other-token", scopes=scopes),
        ]
    )
    yesterday = clock.now - timedelta(days=1)
    world.add_posts(
        [
            Post(
                "x", POST, USER, yesterday, text="Launch day", counters={"retweet_count": 7, "like_count": 58}
            ),
            Post("x", DELETED, USER, yesterday, deleted=True),
            Post("x", FOREIGN, OTHER, yesterday),
            Post("x", OLD, USER, clock.now - timedelta(days=31)),
        ]
    )
    return world


@pytest.fixture
def x(world: World, behaviour: Behaviour) -> X:
    return X(world, behaviour)


@pytest.fixture
def get(x: X) -> Get:
    client = httpx.Client(transport=httpx.MockTransport(x.handle), base_url="https://api.x.com")

    def get(path: str, by: str = "user-token", **params: str) -> httpx.Response:
        return client.get(path, params=params, headers={"Authorization": f"Bearer {by}"})

    return get
