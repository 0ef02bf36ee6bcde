"""What a job's budget does with a refused call, its probe and an open breaker."""

from typing import Any

import pytest

from shared.quota.limits import Bucket
from shared.vocabulary import BucketKind, PauseKind, Platform
from tests.worker.quota.fake_clock import FakeClock
from tests.worker.quota.job_budget.scripted import (
    ACCOUNT,
    APP,
    ENDPOINT,
    HOUR,
    MINUTE,
    Calls,
    after,
    ask,
    metric,
    refusal,
)
from worker.errors import Paused, RefreshError, TryAgain
from worker.quota.gate import JobBudget
from worker.quota.pause import Deferred, NewPause


def test_refused_call_pauses_its_bucket_and_is_counted(
    budget: JobBudget, calls: Calls, clock: FakeClock
) -> None:
    ask(budget)
    refusals = metric("refusals_total", BucketKind.ACCOUNT)
    error = refusal(clock)

    assert budget.on_result(error) is error

    assert calls.made[1:] == [
        ("pause", ACCOUNT, HOUR, True),
        ("count_refusal", ACCOUNT),
        ("succeeded", Platform.FACEBOOK, "insights"),
    ]
    assert metric("refusals_total", BucketKind.ACCOUNT) == refusals + 1
    assert budget.new_pauses == [], "the end of the job places its refusal"


@pytest.mark.parametrize("error", [None, TryAgain("unreadable")])
def test_call_that_is_not_refused_ends_its_probe(
    budget: JobBudget, calls: Calls, error: RefreshError | None
) -> None:
    after(calls, ACCOUNT)
    ask(budget)

    assert budget.on_result(error) is error
    budget.on_result(None)

    succeeded = ("succeeded", Platform.FACEBOOK, "insights")
    assert calls.made[1:] == [("probe_succeeded", (ACCOUNT,)), succeeded, succeeded]


def test_next_call_of_the_job_ends_the_probe_of_the_call_before(budget: JobBudget, calls: Calls) -> None:
    after(calls, ACCOUNT, APP)
    ask(budget)
    ask(budget)

    assert calls.made[1] == ("probe_succeeded", (ACCOUNT, APP))
    assert len(calls.made) == 3


def test_refused_probe_of_its_own_bucket_alone_means_more(
    budget: JobBudget, calls: Calls, clock: FakeClock
) -> None:
    def refused_after(*probes: Bucket, **fields: Any) -> Paused:
        after(calls, *probes)
        ask(budget)
        error = budget.on_result(refusal(clock, **fields))
        assert isinstance(error, Paused)
        return error

    later = clock.now() + 9 * HOUR
    escalated = refused_after(ACCOUNT, escalates_until=later, stop=PauseKind.CREDITS)

    assert (str(escalated), escalated.until, escalated.stop) == ("Limit.", later, PauseKind.CREDITS)
    assert (escalated.kind, escalated.endpoint) == (BucketKind.ACCOUNT, "insights")
    assert refused_after(ACCOUNT).until == clock.now() + HOUR
    assert refused_after(APP, escalates_until=later).until == clock.now() + HOUR
    assert refused_after(escalates_until=later).until == clock.now() + HOUR


def test_refused_probe_may_mean_another_error_which_pauses_nothing(
    budget: JobBudget, calls: Calls, clock: FakeClock
) -> None:
    other = TryAgain("The token is refused.")
    after(calls, ACCOUNT)
    ask(budget)

    assert budget.on_tolerated_error(refusal(clock, refused_again=other)) is other
    assert [name for name, *_ in calls.made] == ["reserve", "probe_succeeded", "succeeded"]
    assert budget.new_pauses == []


def test_tolerated_refusal_requires_its_pause(budget: JobBudget, clock: FakeClock) -> None:
    ask(budget)
    error = refusal(clock)

    assert budget.on_tolerated_error(error) is error
    deferred = Deferred("Later.", kind=BucketKind.APP, until=clock.now() + HOUR)
    assert budget.on_tolerated_error(deferred) is deferred

    assert [(one.kind, one.subject, one.until) for one in budget.new_pauses] == [
        (PauseKind.ACCOUNT, "acc_1", clock.now() + HOUR)
    ]


def test_failure_that_opens_the_breaker_pauses_the_endpoint(
    budget: JobBudget, calls: Calls, clock: FakeClock
) -> None:
    down = TryAgain("503", breaks=True)
    ask(budget)
    assert budget.on_result(down) is down
    assert calls.made[1:] == [("failed", Platform.FACEBOOK, "insights")], "neither a success nor a refusal"
    assert budget.new_pauses == []

    calls.opens_for = MINUTE
    assert budget.on_result(down) is down

    assert calls.made[-1] == ("pause", ENDPOINT, MINUTE, True)
    sentence = "Every call to insights of Facebook fails: no calls are made for a while."
    assert budget.new_pauses == [NewPause(PauseKind.BREAKER, "insights", clock.now() + MINUTE, sentence)]


def test_error_before_the_first_call_updates_nothing(
    budget: JobBudget, calls: Calls, clock: FakeClock
) -> None:
    for error in (refusal(clock), TryAgain("503", breaks=True), None):
        assert budget.on_result(error) is error

    assert calls.made == []
