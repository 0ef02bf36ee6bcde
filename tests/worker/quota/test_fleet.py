"""The fleet's budgets follow the settings."""

from datetime import UTC, datetime, timedelta

from shared.quota.budgets import Budgets
from shared.quota.call_counts import take
from shared.quota.limits import Bucket, Rate
from shared.redis_client import RedisClient, connect
from shared.settings import Settings
from shared.vocabulary import BucketKind, Lane, Platform
from worker.quota.fleet import FleetBudgets
from worker.quota.gate import JobBudget


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


def test_shares_and_limits_are_those_of_the_settings(client: RedisClient) -> None:
    settings = Settings(meta_steer_percent=61, meta_park_percent=83, limits="x:account:tweets=7/1m")

    fleet = FleetBudgets.of(settings, client)

    assert (fleet.steer_percent, fleet.park_percent) == (61, 83)
    tweets = Bucket(Platform.X, BucketKind.ACCOUNT, "acc_1/tweets")
    assert fleet.limits.rate_of(tweets) == Rate(7, timedelta(minutes=1))


def test_breaker_opens_after_the_failures_and_for_the_times_of_the_settings(client: RedisClient) -> None:
    def openings(endpoint: str, first: float) -> list[timedelta | None]:
        breakers = FleetBudgets.of(Settings(breaker_failures=2, breaker_seconds=first), client).breakers
        pauses = []
        for _ in range(4):
            pauses.append(breakers.failed(Platform.X, endpoint))
            client.delete(f"dravo:breaker:x:{endpoint}:open")
        return pauses

    assert Settings().lease == timedelta(seconds=60)
    assert openings("one", 40) == [None, timedelta(seconds=40), *[timedelta(seconds=60)] * 2], "up to a lease"
    assert openings("two", 90) == [None, *[timedelta(seconds=90)] * 3]


def test_without_redis_a_process_makes_the_calls_of_the_settings() -> None:
    gone = connect("redis://127.0.0.1:1/0")
    budgets = FleetBudgets.of(Settings(offline_calls_per_minute=3), gone).budgets
    bucket = ((Bucket(Platform.X, BucketKind.APP), None),)

    assert [not budgets.reserve(bucket, 1, Lane.INTERACTIVE).wait for _ in range(5)].count(True) <= 3
    gone.close()


def test_calls_are_counted_in_redis(client: RedisClient) -> None:
    bucket = Bucket(Platform.X, BucketKind.APP)

    fleet = FleetBudgets.of(Settings(), client)
    job = JobBudget(fleet, "acc_1", Platform.X, Lane.BACKGROUND, (), now=lambda: datetime.now(UTC))
    job.acquire(Platform.X, "acc_1", "tweets", 4)
    fleet.calls.send()

    assert take(client)[bucket] == 4
