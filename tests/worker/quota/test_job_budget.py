"""What one job's budget does with each decision, answer and end, call by call."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import pytest
from prometheus_client import REGISTRY

from shared.quota.budgets import BucketRates, Budgets, Decision
from shared.quota.limits import Bucket, Limits, bucket
from shared.vocabulary import BucketKind, Lane, PauseKind, Platform
from tests.worker.quota.fake_clock import FakeClock
from worker.errors import Paused, RefreshError, TryAgain
from worker.quota.breaker import Breakers
from worker.quota.fleet import FleetBudgets
from worker.quota.gate import JobBudget
from worker.quota.pause import Deferred, NewPause
from worker.readings import Limit

HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
APP = bucket(Platform.FACEBOOK, "acc_1", BucketKind.APP, None)
ACCOUNT = bucket(Platform.FACEBOOK, "acc_1", BucketKind.ACCOUNT, None)
ENDPOINT = bucket(Platform.FACEBOOK, "acc_1", BucketKind.ENDPOINT, "insights")


@dataclass
class Calls:
    """Budgets and breakers in one: follows a script of decisions and records every call."""

    decisions: list[Decision] = field(default_factory=list)
    opens_for: timedelta | None = None
    made: list[tuple[object, ...]] = field(default_factory=list)

    def reserve(self, buckets: BucketRates, cost: int, lane: Lane) -> Decision:
        """Return the next decision; without one left, the call is reserved."""
        assert {one.kind for one, _ in buckets} <= set(BucketKind)
        self.made.append(("reserve", cost, lane))
        return self.decisions.pop(0) if self.decisions else Decision(timedelta())

    def failed(self, *arguments: object) -> timedelta | None:
        """Return how long the breaker opens."""
        self.made.append(("failed", *arguments))
        return self.opens_for

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **named: self.made.append((name, *arguments, *named.values()))


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


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


def ask(budget: JobBudget, cost: int = 1) -> None:
    budget.acquire(Platform.FACEBOOK, "acc_1", "insights", cost)


def waits(*seconds: float, **fields: Any) -> list[Decision]:
    return [Decision(timedelta(seconds=one), ACCOUNT, **fields) for one in seconds]


def metric(name: str, kind: BucketKind) -> float:
    labels = {"platform": "facebook", "kind": kind.value}
    return REGISTRY.get_sample_value(f"dravo_{name}", labels) or 0.0


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


def limited(clock: FakeClock, kind: BucketKind = BucketKind.ACCOUNT, **fields: Any) -> Limit:
    resets_in = fields.pop("resets_in", None)
    return Limit(kind, None, resets_at=clock.now() + resets_in if resets_in else None, **fields)


def test_numbers_of_an_answer_update_their_bucket(budget: JobBudget, calls: Calls, clock: FakeClock) -> None:
    budget.on_limits(
        Platform.FACEBOOK,
        "acc_1",
        (
            limited(clock, remaining=30, limit=40, resets_in=MINUTE),
            limited(clock, BucketKind.APP, remaining=7, resets_in=HOUR),
            limited(clock, resets_in=2 * MINUTE),
            limited(clock, remaining=30, limit=40),
            limited(clock),
        ),
    )

    assert calls.made == [("update", ACCOUNT, 30, 40, MINUTE), ("update", APP, 7, None, HOUR),
                          ("pause", ACCOUNT, 2 * MINUTE)]  # fmt: skip
    assert metric("budget_remaining_ratio", BucketKind.ACCOUNT) == 0.75
    assert metric("budget_remaining_ratio", BucketKind.APP) == 1
    assert budget.new_pauses == []


def test_platform_that_reports_no_calls_at_all_leaves_none(budget: JobBudget, clock: FakeClock) -> None:
    budget.on_limits(Platform.FACEBOOK, "acc_1", (limited(clock, remaining=0, limit=0, resets_in=MINUTE),))

    assert metric("budget_remaining_ratio", BucketKind.ACCOUNT) == 0


REASON = "{} % of a limit of Facebook are used: background work waits."


@pytest.mark.parametrize(
    ("percent", "block", "paused", "waits"),
    [
        (0, None, None, timedelta(0)),
        (80, None, None, timedelta(0)),
        (94, 9 * MINUTE, None, HOUR * 28 / 94),
        (95, 9 * MINUTE, 9 * MINUTE, HOUR * 30 / 95),
        (99, None, None, HOUR * 38 / 99),
        (100, None, 3 * MINUTE, HOUR * 40 / 100),
        (100, 9 * MINUTE, 9 * MINUTE, HOUR * 40 / 100),
        (400, None, HOUR * 305 / 400, HOUR),
    ],
)
def test_used_share_pauses_all_work_or_background_work(
    budget: JobBudget,
    calls: Calls,
    clock: FakeClock,
    percent: int,
    block: timedelta | None,
    paused: timedelta | None,
    waits: timedelta,
) -> None:
    budget.on_limits(
        Platform.FACEBOOK, "acc_1", (limited(clock, BucketKind.APP, used_percent=percent, resets_in=block),)
    )

    *pauses, background = calls.made
    assert [(one, left) for one, _, left, _ in pauses] == ([("pause", paused)] if paused else [])
    assert [(call[1], call[-1]) for call in pauses] == [(APP, True)] * len(pauses)
    name, limited_bucket, wait = background
    assert (name, limited_bucket) == ("defer_background", APP)
    assert abs(cast("timedelta", wait) - waits) <= timedelta(microseconds=1)
    assert [(one.kind, one.reason) for one in budget.new_pauses] == [
        (PauseKind.BACKGROUND, REASON.format(percent))
    ] * bool(waits > 5 * MINUTE)
    assert metric("budget_remaining_ratio", BucketKind.APP) == pytest.approx(max(0, 1 - percent / 100))


def test_newest_share_replaces_the_pause_that_an_earlier_answer_required(
    budget: JobBudget, clock: FakeClock
) -> None:
    def report(percent: int, kind: BucketKind) -> None:
        budget.on_limits(Platform.FACEBOOK, "acc_1", (limited(clock, kind, used_percent=percent),))

    report(99, BucketKind.ACCOUNT)
    report(99, BucketKind.APP)
    report(10, BucketKind.ACCOUNT)

    assert [(one.subject, one.until is None) for one in budget.new_pauses] == [
        (APP.subject, False),
        (ACCOUNT.subject, True),
    ]


def refusal(clock: FakeClock, **fields: Any) -> Paused:
    return Paused("Limit.", kind=BucketKind.ACCOUNT, endpoint="insights", until=clock.now() + HOUR, **fields)


def after(calls: Calls, *probes: Bucket) -> None:
    """Let the next call be the first one after a pause of these buckets."""
    calls.decisions = [Decision(timedelta(), probes=probes)]


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
