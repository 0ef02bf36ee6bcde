"""Fixtures: a world with a few accounts and posts, and the simulated TikTok."""

from datetime import timedelta

import pytest

from deploy.simulators.behaviour import Behaviour
from deploy.simulators.tiktok.tiktok import TikTok
from deploy.simulators.world import Account, Post, World
from tests.deploy.simulators.clock import Clock
from tests.deploy.simulators.tiktok.harness import (
    DELETED,
    FOREIGN,
    MODERATED,
    OTHER,
    PRIVATE,
    USER,
    VIDEO,
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world(clock: Clock) -> World:
    world = World(seed=1, now=clock)
    end = clock.now + timedelta(hours=2)
    scopes = frozenset({"video.list", "video.publish"})
    world.add_accounts(
        [
            Account(
                "tiktok",
                USER,
                "act.user",
                scopes=scopes,
                access_token_expires_at=end,
                refresh_token="rft.1",
                refresh_token_expires_at=clock.now + timedelta(days=180),
            ),
            Account("tiktok", OTHER, "act.other", scopes=scopes),
        ]
    )
    day = clock.now - timedelta(days=1)
    counters = {"view_count": 15420, "like_count": 988, "comment_count": 41, "share_count": 63}
    world.add_posts(
        [
            Post("tiktok", VIDEO, USER, day, text="Hi", counters=counters, publish_id="v_pub_file~1"),
            Post("tiktok", FOREIGN, OTHER, day, publish_id="v_pub_file~2"),
            Post("tiktok", PRIVATE, USER, day, private=True, publish_id="v_pub_file~3"),
            Post("tiktok", DELETED, USER, day, deleted=True),
            Post(
                "tiktok",
                MODERATED,
                USER,
                clock.now,
                publish_id="v_pub_url~5",
                resolved_at=clock.now + timedelta(hours=1),
            ),
        ]
    )
    return world


@pytest.fixture
def tiktok(world: World, behaviour: Behaviour) -> TikTok:
    return TikTok(world, behaviour)
