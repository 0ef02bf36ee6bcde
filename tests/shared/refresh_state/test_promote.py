"""Promotion moves one row that is due to the interactive lane, and never waits for another transaction."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text

from shared.refresh_state.make_due import promote_one
from shared.vocabulary import Platform
from tests.harness import Harness

NOW = datetime.now(UTC)
LATER = NOW + timedelta(hours=1)


def minutes_ago(minutes: int) -> datetime:
    return NOW - timedelta(minutes=minutes)


def promote(harness: Harness, account_id: str = "", only_if: str = "TRUE") -> str | None:
    with harness.engine.begin() as connection:
        return promote_one(connection, "instagram", account_id, only_if=only_if)


def promoted(harness: Harness) -> list[int]:
    rows = harness.execute("SELECT publication_id FROM refresh_state WHERE priority > 0 ORDER BY 1")
    return [row.publication_id for row in rows]


@pytest.fixture
def rows(harness: Harness) -> dict[str, int]:
    """Store rows in several states, most of which must not be promoted."""
    harness.account("acc_1")
    harness.account("acc_2")
    harness.account("acc_x", Platform.X)
    harness.account("acc_blocked", state="requires_reconnect")
    states: dict[str, tuple[str, dict[str, Any]]] = {
        "claimed": ("acc_1", {"next_run_at": minutes_ago(60), "claimed_at": minutes_ago(61)}),
        "suspect": ("acc_1", {"next_run_at": minutes_ago(50), "unfinished": 1}),
        "of a blocked account": ("acc_blocked", {"next_run_at": minutes_ago(40)}),
        "of another platform": ("acc_x", {"next_run_at": minutes_ago(30)}),
        "not due": ("acc_1", {"next_run_at": LATER}),
        "second": ("acc_1", {"next_run_at": minutes_ago(10)}),
        "of another account": ("acc_2", {"next_run_at": minutes_ago(5)}),
        "first": ("acc_1", {"next_run_at": minutes_ago(20)}),
    }
    made = {}
    for name, (account_id, state) in states.items():
        (made[name],) = harness.publications(account_id, 1, **state)
        harness.execute("UPDATE publications SET platform_post_id = 'pp_' || id, post_id = 'post_' || id")
    return made


def test_row_that_is_due_for_longest_is_promoted_alone(harness: Harness, rows: dict[str, int]) -> None:
    assert promote(harness) == "acc_1"

    assert promoted(harness) == [rows["first"]]


def test_row_that_is_promoted_already_is_promoted_before_others(
    harness: Harness, rows: dict[str, int]
) -> None:
    promote(harness, "acc_2")

    assert promote(harness) == "acc_2"
    assert promoted(harness) == [rows["of another account"]]


def test_account_and_condition_restrict_the_choice(harness: Harness, rows: dict[str, int]) -> None:
    assert promote(harness, only_if="a.account_id <> 'acc_1'") == "acc_2"
    assert promoted(harness) == [rows["of another account"]]
    assert promote(harness, "acc_x") is None
    assert promote(harness, "acc_blocked") is None
    assert promote(harness, "acc_1", only_if="FALSE") is None


def test_row_that_another_transaction_has_is_passed_over(harness: Harness, rows: dict[str, int]) -> None:
    def promote_in(connection: Connection) -> str | None:
        connection.execute(text("SET LOCAL lock_timeout = '2s'"))
        return promote_one(connection, "instagram", "", only_if="TRUE")

    with harness.engine.connect() as first, harness.engine.connect() as second:
        promote_in(first)
        promote_in(second)
        first.commit()
        second.commit()

    assert promoted(harness) == sorted([rows["first"], rows["second"]])
