"""The fleet's budgets follow the settings."""

from datetime import timedelta

from shared.quota.budgets import Budgets
from shared.quota.limits import Bucket, Rate
from shared.redis_client import RedisClient
from shared.settings import Settings
from shared.vocabulary import BucketKind, Lane, Platform
from worker.quota.fleet import FleetBudgets


def background_calls(budgets: Budgets, endpoint: str) -> int:
    """Make calls of the background at once, and return how many are admitted."""
    bucket = ((Bucket(Platform.X, BucketKind.ENDPOINT, endpoint), Rate(100_000, timedelta(days=30))),)
    return sum(not budgets.reserve(bucket, 100, Lane.BACKGROUND).wait for _ in range(200))


def test_background_work_leaves_the_share_of_the_settings_to_interactive_work(client: RedisClient) -> None:
    fleet = FleetBudgets.of(Settings(interactive_share=0.9), client)

    admitted = background_calls(fleet.budgets, "one")

    assert admitted == background_calls(Budgets(client, interactive_share=0.9), "two")
    assert admitted < background_calls(FleetBudgets.of(Settings(), client).budgets, "three")


def test_job_waits_for_its_budgets_a_sixth_of_its_lease(client: RedisClient) -> None:
    settings = Settings()

    assert FleetBudgets.of(settings, client).longest_wait == settings.lease / 6
