"""The budget of one job of a fleet, and its calls."""

from shared.vocabulary import Lane, Platform
from tests.worker.quota.fake_clock import FakeClock
from worker.quota.fleet import FleetBudgets
from worker.quota.gate import JobBudget


def job(
    fleet: FleetBudgets, clock: FakeClock, platform: Platform = Platform.TIKTOK, lane: Lane = Lane.BACKGROUND
) -> JobBudget:
    return JobBudget(fleet, "acc_1", platform, lane, (), now=clock.now, sleep=clock.passes)


def ask(budget: JobBudget, platform: Platform = Platform.TIKTOK, endpoint: str = "video/query") -> None:
    budget.acquire(platform, "acc_1", endpoint, 1)
