"""What a job's budget does with the limits that an answer reports."""

from datetime import timedelta
from typing import cast

import pytest

from shared.vocabulary import BucketKind, PauseKind, Platform
from tests.worker.quota.fake_clock import FakeClock
from tests.worker.quota.job_budget.scripted import ACCOUNT, APP, HOUR, MINUTE, Calls, ask, limited, metric
from worker.quota.gate import JobBudget
from worker.quota.pause import Deferred


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


def test_background_call_waits_for_the_slowest_of_its_buckets(budget: JobBudget, clock: FakeClock) -> None:
    fuller = limited(clock, BucketKind.APP, used_percent=99)  # for an hour, not for a day
    budget.on_limits(Platform.FACEBOOK, "acc_1", (limited(clock, used_percent=84), fuller))

    with pytest.raises(Deferred) as caught:
        ask(budget)

    assert caught.value.kind is BucketKind.ACCOUNT
    assert abs(caught.value.until - clock.now() - 24 * HOUR * 8 / 84) < MINUTE
