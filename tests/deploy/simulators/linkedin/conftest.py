"""Fixtures: a world with a few accounts and posts, and the simulated LinkedIn."""

from datetime import timedelta

import pytest

from deploy.simulators.behaviour import Behaviour
from deploy.simulators.linkedin.linkedin import LinkedIn
from deploy.simulators.world import Account, Post, World
from tests.deploy.simulators.clock import Clock
from tests.deploy.simulators.linkedin.harness import (
    AGED,
    DELETED,
    FOREIGN,
    MEMBER,
    MINE,
    MINE_SHARE,
    ORG,
    OTHER,
    QUIET,
    SCOPES,
    SHARE,
    UGC,
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world(clock: Clock) -> World:
    world = World(seed=1, now=clock)
    end = clock.now + timedelta(days=60)
    world.add_accounts(
        [
            Account(
                "linkedin",
                ORG,
                "page-token",
                kind="organization",
                scopes=SCOPES,
                access_token_expires_at=end,
                refresh_token="refresh-1",
                refresh_token_expires_at=clock.now + timedelta(days=365),
            ),
            Account("linkedin", OTHER, "other-token", kind="organization", scopes=SCOPES),
            Account(
                "linkedin",
                MEMBER,
                "member-token",
                kind="member",
                scopes=frozenset({"r_member_postAnalytics", "r_member_social"}),
            ),
        ]
    )
    day = clock.now - timedelta(days=1)
    counters = {
        "impressionCount": 5287,
        "uniqueImpressionsCount": 3000,
        "clickCount": 78,
        "likeCount": 14,
        "commentCount": 24,
        "shareCount": 5,
    }
    world.add_posts(
        [
            Post("linkedin", SHARE, ORG, day, text="We ship", counters=counters),
            Post("linkedin", UGC, ORG, day),
            Post("linkedin", QUIET, ORG, day, no_data=True),
            Post("linkedin", AGED, ORG, clock.now - timedelta(days=366)),
            Post("linkedin", DELETED, ORG, day, deleted=True),
            Post("linkedin", FOREIGN, OTHER, day),
            Post("linkedin", MINE, MEMBER, day, counters=counters),
            Post("linkedin", MINE_SHARE, MEMBER, day, no_data=True),
        ]
    )
    return world


@pytest.fixture
def linkedin(world: World, behaviour: Behaviour) -> LinkedIn:
    return LinkedIn(world, behaviour)
