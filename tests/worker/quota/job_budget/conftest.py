"""One job's budget over budgets that follow a script, on a fake clock."""

import random
from typing import cast

import pytest

from shared.quota.budgets import Budgets
from shared.quota.limits import Limits
from shared.vocabulary import Lane, Platform
from tests.worker.quota.fake_clock import FakeClock
from tests.worker.quota.job_budget.scripted import SECOND, Calls
from worker.quota.breaker import Breakers
from worker.quota.fleet import FleetBudgets
from worker.quota.gate import JobBudget


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def budget(calls: Calls, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> JobBudget:
    """Return the budget of a background job at Facebook that may wait 10 s, with the longest jitter."""
    monkeypatch.setattr(random, "uniform", lambda _low, high: high)
    fleet = FleetBudgets(
        cast("Budgets", calls), cast("Breakers", calls), Limits.parse(""), 80, 95, 10 * SECOND
    )
    return JobBudget(
        fleet, "acc_1", Platform.FACEBOOK, Lane.BACKGROUND, (), now=clock.now, sleep=clock.passes
    )
