"""Figures of the fleet: what counts as overdue, held up and claimed."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.operations import fleet
from shared.quota import pauses
from shared.vocabulary import PauseKind, Platform
from tests.harness import Harness

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)


def overdue(harness: Harness) -> dict[tuple[str, bool], float | None]:
    """Return the hours that the oldest row has been due, by platform and whether it is paused."""
    with harness.engine.connect() as connection:
        seconds_by_platform = fleet.oldest_overdue(connection)
    return {
        (one.platform, one.paused): one.seconds and round(one.seconds / 3600) for one in seconds_by_platform
    }


def pause(harness: Harness, kind: PauseKind, subject: str = "") -> None:
    with harness.engine.begin() as connection:
        until = datetime.now(UTC) + HOUR
        pauses.pause(connection, platform="facebook", kind=kind, subject=subject, until=until, reason="")


def test_pause_of_background_work_explains_overdue_background_rows_alone(harness: Harness) -> None:
    account = harness.account("acc_1", Platform.FACEBOOK)
    harness.publications(account, next_run_at=NOW - 3 * HOUR)
    harness.publications(harness.account("acc_2", Platform.FACEBOOK), next_run_at=NOW - 2 * HOUR, priority=1)
    assert overdue(harness) == {("facebook", False): 3}

    pause(harness, PauseKind.BACKGROUND)
    assert overdue(harness) == {("facebook", True): 3, ("facebook", False): 2}

    pause(harness, PauseKind.APP)
    assert overdue(harness) == {("facebook", True): 3}


def test_accounts_without_due_rows_have_no_overdue_row(harness: Harness) -> None:
    harness.publications(harness.account("acc_1", Platform.X), next_run_at=NOW + HOUR)
    harness.publications(harness.account("acc_2", Platform.TIKTOK, state="disconnected"))

    assert overdue(harness) == {("x", False): None}


def test_expired_lease_is_not_claimed(harness: Harness) -> None:
    account = harness.account("acc_1", Platform.X)
    harness.publications(account, 2, reason="claimed", claimed_at=NOW, next_run_at=NOW + HOUR)
    harness.account("acc_2", Platform.TIKTOK)
    assert_claimed(harness, {"x": 2, "tiktok": 0})

    harness.execute("UPDATE refresh_state SET next_run_at = now() - interval '1 s'")

    assert_claimed(harness, {"x": 0, "tiktok": 0})


def assert_claimed(harness: Harness, expected: dict[str, int]) -> None:
    with harness.engine.connect() as connection:
        assert fleet.claimed(connection) == expected


@pytest.mark.parametrize(("most", "counted"), [(None, 3), (2, 2), (9, 3)])
def test_quarantined_rows_are_counted_up_to_a_bound(harness: Harness, most: int | None, counted: int) -> None:
    harness.publications(harness.account("acc_1"), 3, reason="quarantined", next_run_at=None)
    harness.publications(harness.account("acc_2"), reason="stopped", next_run_at=None)

    with harness.engine.connect() as connection:
        assert fleet.quarantined(connection, most=most) == counted


def test_scheduling_delay_is_the_wait_of_due_rows_and_of_those_under_way(harness: Harness) -> None:
    harness.account("acc_1", Platform.X, workspace_id="ws_waits")
    harness.publications("acc_1", next_run_at=NOW - timedelta(minutes=20))
    harness.account("acc_2", Platform.TIKTOK, workspace_id="ws_runs")
    (claimed,) = harness.publications(
        "acc_2", reason="claimed", claimed_at=NOW, next_run_at=NOW + timedelta(hours=1)
    )
    harness.execute(
        "UPDATE post_analytics SET stale_after = :at WHERE publication_id = :id",
        at=NOW - timedelta(minutes=3),
        id=claimed,
    )
    harness.account("acc_3", Platform.X, workspace_id="ws_paused")
    harness.publications("acc_3", next_run_at=NOW - timedelta(hours=9))
    harness.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " VALUES ('x', 'account', 'acc_3', now() + interval '1 hour', 'A limit.'),"
        " ('x', 'background', 'acc_4', now() + interval '1 hour', 'Most of it is used.')"
    )
    for account_id, columns in (("acc_4", {}), ("acc_5", {"state": "requires_reconnect"})):
        harness.account(account_id, Platform.X, workspace_id=f"ws_of_{account_id}", **columns)
        harness.publications(account_id, next_run_at=NOW - timedelta(hours=9))

    with harness.engine.connect() as connection:
        waits, runs = fleet.scheduling_delays(connection)

    assert waits.workspace_id == "ws_waits"
    assert waits.waiting_seconds == pytest.approx(1200, abs=600)
    assert waits.started_seconds is None
    assert (runs.workspace_id, runs.waiting_seconds) == ("ws_runs", None)
    assert runs.started_seconds == pytest.approx(180)
