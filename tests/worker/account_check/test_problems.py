"""What a check says about each answer of the platform, and which post it reads."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from shared.quota.budgets import Decision
from shared.vocabulary import BucketKind, Lane, Platform
from tests.harness import Harness, open_harness
from tests.worker.http.in_process import InProcess
from worker.account_check.check import Report, check
from worker.adapters.contract import Upstream
from worker.clock import DatabaseClock
from worker.errors import Misconfigured, Paused, Reauthorize, RefreshError, TryAgain
from worker.http.client import Client
from worker.readings import Account, Answer, Limit, Publication, Reading

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)
RENEWED, CONNECT = "The next refresh renews it", "Connect the account again"


def checked(harness: Harness) -> Report:
    report = check("acc_1", harness.context)
    assert report is not None
    return report


def account(harness: Harness, platform: Platform = Platform.TIKTOK, **columns: Any) -> list[int]:
    return harness.publications(harness.account("acc_1", platform, **columns), 3)


@pytest.mark.parametrize(
    ("renewable", "left", "has_pair", "to_do"),
    [
        (True, -HOUR, True, RENEWED),
        (True, timedelta(), True, RENEWED),
        (True, -HOUR, False, CONNECT),
        (True, HOUR, True, CONNECT),
        (True, None, True, CONNECT),
        (False, -HOUR, True, CONNECT),
    ],
)
def test_only_an_ended_token_that_has_a_pair_renews_itself(
    harness: Harness, left: timedelta | None, to_do: str, *, renewable: bool, has_pair: bool
) -> None:
    account(
        harness,
        sealed_refresh_token=harness.context.vault.seal(SecretStr("pair")) if has_pair else None,
        token_expires_at=NOW + left if left is not None else None,
    )
    harness.adapter.script = lambda *_: Reauthorize("Refused.", renewable=renewable)
    clock = DatabaseClock(lambda: 0.0)
    clock.set(NOW, 0)

    report = checked(replace(harness, context=replace(harness.context, clock=clock)))

    assert report.problem is not None
    assert report.problem.startswith("Refused.")
    assert to_do in (report.to_do or "")


@pytest.mark.parametrize(
    ("error", "to_do"),
    [
        (Misconfigured("Wrong."), "Check the application's credentials"),
        (Paused("Wrong.", kind=BucketKind.APP, until=NOW), "Wait until the limit ends"),
        (TryAgain("Wrong."), "Try again later."),
    ],
)
def test_error_is_reported_with_what_to_do(harness: Harness, error: RefreshError, to_do: str) -> None:
    account(harness)
    harness.adapter.script = lambda *_: error

    report = checked(harness)

    assert (report.problem, report.reading) == ("Wrong.", None)
    assert to_do in (report.to_do or "")


@pytest.mark.parametrize(
    ("answer", "detail", "problem"),
    [
        (Answer.READ, "A detail.", None),
        (Answer.PROCESSING, None, None),
        (Answer.MISSING, "It is gone.", "It is gone."),
        (Answer.MISSING, None, "the platform does not know the account's newest post"),
    ],
)
def test_missing_post_points_at_another_account(
    harness: Harness, answer: Answer, detail: str | None, problem: str | None
) -> None:
    account(harness)
    harness.adapter.script = lambda _, post: Reading(post.id, answer, detail=detail)

    report = checked(harness)

    assert report.problem == problem
    assert ("another account's" in (report.to_do or "")) is (problem is not None)


def test_newest_post_that_has_an_id_is_read(harness: Harness) -> None:
    old, newest, unpublished = account(harness)
    for one, hours in ((old, 9), (newest, 1), (unpublished, 0)):
        at = NOW - hours * HOUR
        harness.execute("UPDATE publications SET created_at = :at WHERE id = :id", at=at, id=one)
    harness.execute("UPDATE publications SET platform_post_id = NULL WHERE id = :id", id=unpublished)
    harness.publications(harness.account("acc_2"))

    assert checked(harness).post_id == "post_acc_12"
    assert harness.adapter.requested == [("acc_1", (newest,))]
    assert harness.execute("SELECT * FROM post_reads") == [], "only reads at X cost money"


def test_of_posts_of_one_instant_the_last_one_is_read_with_the_instant_of_its_publication(
    harness: Harness,
) -> None:
    *_, last = account(harness)
    seen: list[Publication] = []
    answer = harness.adapter.script

    def script(owner: Account, post: Publication) -> Reading | RefreshError:
        seen.append(post)
        return answer(owner, post)

    harness.adapter.script = script
    checked(harness)
    harness.execute("UPDATE publications SET published_at = :at", at=NOW - HOUR)
    checked(harness)

    (created,) = harness.execute("SELECT created_at FROM publications WHERE id = :id", id=last)[0]
    assert [(post.id, post.created_at) for post in seen] == [(last, created), (last, NOW - HOUR)]


def test_limits_of_the_answer_are_reported_and_hold_for_the_fleet(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    account(harness)
    limit = Limit(BucketKind.APP, None, limit=9, remaining=3, resets_at=datetime.now(UTC) + HOUR)
    updates: list[int] = []

    def fetch(upstream: Upstream, _: Account, posts: Sequence[Publication]) -> Iterator[Reading]:
        upstream.report_limits(limit)
        yield Reading(posts[0].id, Answer.READ)

    def update(_: object, _bucket: object, *, remaining: int, **__: object) -> None:
        updates.append(remaining)

    monkeypatch.setattr(harness.adapter, "fetch", fetch)
    monkeypatch.setattr(type(harness.context.budgets.budgets), "update", update)

    assert checked(harness).limits == (limit,)
    assert updates == [3]


def test_pause_of_background_work_is_no_obstacle(harness: Harness) -> None:
    account(harness)
    harness.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " VALUES ('tiktok', 'background', '', now() + interval '1 hour', '')"
    )

    assert checked(harness).problem is None


def test_failed_read_at_x_costs_nothing_and_a_second_one_of_the_day_neither(harness: Harness) -> None:
    account(harness, Platform.X)

    def billed() -> list[tuple[int, int]]:
        return [tuple(row) for row in harness.execute("SELECT reads, reserved FROM post_reads")]

    works = harness.adapter.script
    harness.adapter.script = lambda *_: TryAgain("Down.")
    checked(harness)
    assert billed() == [(0, 0)]
    harness.adapter.script = works
    checked(harness)
    assert billed() == [(1, 0)]
    harness.execute("UPDATE post_analytics SET last_updated_at = now()")
    checked(harness)
    assert billed() == [(1, 0)]


def test_spent_budget_is_reported_without_a_call(database_url: str) -> None:
    with open_harness(database_url, x_daily_budget_dollars=0) as harness:
        account(harness, Platform.X)

        report = checked(harness)

    assert "budget for reads at X is spent" in (report.problem or "")
    assert harness.adapter.requested == []


def test_calls_of_a_check_are_interactive_work_within_the_budgets(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    account(harness)
    reserved: list[tuple[int, Lane]] = []

    def reserve(_buckets: object, cost: int, lane: Lane) -> Decision:
        reserved.append((cost, lane))
        return Decision(timedelta())

    def fetch(upstream: Upstream, _account: Account, posts: Sequence[Publication]) -> Iterator[Reading]:
        upstream.send("GET", "https://platform.test/", endpoint="video/query", cost=3)
        yield Reading(posts[0].id, Answer.READ, {"view_count": 1})

    monkeypatch.setattr(harness.context.budgets.budgets, "reserve", reserve)
    monkeypatch.setattr(harness.adapter, "fetch", fetch)
    client = Client(transport=InProcess(lambda _: httpx.Response(200)))

    report = checked(replace(harness, context=replace(harness.context, client=client)))

    assert (report.calls, report.problem) == (1, None)
    assert reserved == [(3, Lane.INTERACTIVE)]
