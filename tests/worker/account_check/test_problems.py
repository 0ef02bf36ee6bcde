"""What a check says about each answer of the platform, and which post it reads."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from shared.vocabulary import BucketKind, Platform
from tests.harness import Harness, open_harness
from worker.account_check.check import Report, check
from worker.errors import Misconfigured, Paused, Reauthorize, RefreshError, TryAgain
from worker.readings import Answer, Reading

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

    report = checked(harness)

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
    harness.execute("UPDATE publications SET created_at = :at WHERE id = :id", at=NOW - 9 * HOUR, id=old)
    harness.execute("UPDATE publications SET created_at = :at WHERE id = :id", at=NOW - HOUR, id=newest)
    harness.execute("UPDATE publications SET platform_post_id = NULL WHERE id = :id", id=unpublished)
    harness.publications(harness.account("acc_2"))

    assert checked(harness).post_id == "post_acc_12"
    assert harness.adapter.requested == [("acc_1", (newest,))]


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
