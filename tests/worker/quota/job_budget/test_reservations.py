"""A call of a job waits for its budget, or defers its rows."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from shared.quota.budgets import Decision
from shared.vocabulary import BucketKind, Lane
from tests.worker.quota.fake_clock import FakeClock
from tests.worker.quota.job_budget.scripted import (
    ACCOUNT,
    APP,
    ENDPOINT,
    MINUTE,
    SECOND,
    Calls,
    ask,
    metric,
    waits,
)
from worker.quota.gate import JobBudget
from worker.quota.pause import Deferred


def test_job_waits_for_its_budget_with_jitter_until_it_is_reserved(
    budget: JobBudget, calls: Calls, clock: FakeClock
) -> None:
    begun = clock.now()
    calls.decisions = waits(2, 0.000_001)

    ask(budget, cost=3)

    assert clock.now() - begun == timedelta(seconds=2.6, milliseconds=2)
    assert calls.made == [("reserve", 3, Lane.BACKGROUND)] * 3


@pytest.mark.parametrize(
    ("seconds", "reserved"), [((10,), True), ((10.001,), False), ((5, 3.5), True), ((5, 3.501), False)]
)
def test_all_waits_of_a_job_together_are_bounded(
    budget: JobBudget, calls: Calls, seconds: Sequence[float], *, reserved: bool
) -> None:
    calls.decisions = waits(*seconds)

    if reserved:
        ask(budget)
    else:
        with pytest.raises(Deferred):
            ask(budget)
    assert len(calls.made) == len(seconds) + reserved


@pytest.mark.parametrize(
    ("decision", "kind", "endpoint", "wait", "sentence"),
    [
        (
            Decision(SECOND, ACCOUNT, paused=True),
            BucketKind.ACCOUNT,
            None,
            SECOND,
            "The budget of this account at Facebook was reached.",
        ),
        (
            Decision(MINUTE, ENDPOINT),
            BucketKind.ENDPOINT,
            "insights",
            MINUTE,
            "The budget of insights at Facebook is used up for the moment.",
        ),
        (
            Decision(SECOND / 2, APP, paused=True),
            BucketKind.APP,
            None,
            SECOND,
            "The budget of our application at Facebook was reached.",
        ),
        (
            Decision(MINUTE),
            BucketKind.APP,
            None,
            MINUTE,
            "The budget of our application at Facebook is used up for the moment.",
        ),
    ],
)
def test_exhausted_budget_defers_the_rows_and_names_its_bucket(
    budget: JobBudget,
    calls: Calls,
    clock: FakeClock,
    decision: Decision,
    kind: BucketKind,
    endpoint: str | None,
    wait: timedelta,
    sentence: str,
) -> None:
    calls.decisions = [decision]
    refusals = metric("refusals_total", kind)

    with pytest.raises(Deferred) as caught:
        ask(budget)

    error = caught.value
    assert (str(error), error.kind, error.endpoint, error.until) == (
        sentence,
        kind,
        endpoint,
        clock.now() + wait,
    )
    assert metric("refusals_total", kind) == refusals + 1
    assert budget.on_result(error) is error
    assert calls.made == [("reserve", 1, Lane.BACKGROUND)], "no call was made, so nothing is known of it"


def test_tightest_bucket_of_a_call_is_exported(budget: JobBudget, calls: Calls) -> None:
    calls.decisions = [Decision(timedelta(), left=(ACCOUNT, 0.125))]

    ask(budget)
    assert metric("budget_remaining_ratio", BucketKind.ACCOUNT) == 0.125

    ask(budget)
    assert metric("budget_remaining_ratio", BucketKind.ACCOUNT) == 0.125
