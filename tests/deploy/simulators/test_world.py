"""The shared world: growing counters, rotated tokens."""

from datetime import timedelta

from deploy.simulators.world import Account, Post, World
from tests.deploy.simulators.example import NOW


def test_counters_grow_with_age_and_depend_on_the_seed() -> None:
    ages = [timedelta(), timedelta(hours=1), timedelta(hours=6), timedelta(days=2), timedelta(days=300)]
    post = Post("x", "1", "9", NOW, size=10_000)

    def counts(seed: int, speed: float = 1.0) -> list[int]:
        return [
            World(seed, lambda age=age: NOW + age, speed=speed, started_at=NOW).count(post, "views")  # type: ignore[misc]
            for age in ages
        ]

    assert counts(1) == sorted(set(counts(1)))
    assert counts(1)[0] == 0
    assert counts(1) == counts(1)
    assert counts(1) != counts(2)
    assert counts(1, speed=60.0)[1] > counts(1)[1]


def test_former_tokens_of_a_rotated_account_are_invalid() -> None:
    world = World()
    account = Account("x", "1", "access-1", refresh_token="refresh-1")
    world.add_accounts([account])
    rotated = world.rotate(account, access_life=timedelta(hours=2), new_refresh_token=True)
    assert world.holder("access-1") is None
    assert world.holder(rotated.access_token) == rotated
    assert world.refresh_token_holder("x", "refresh-1") is None
    assert world.spent_refresh_token_holder("x", "refresh-1") == rotated
    assert world.refresh_token_holder("x", rotated.refresh_token or "") == rotated
