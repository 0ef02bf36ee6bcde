"""The selection and the estimate of a re-sync: dates, filters, rows in every state."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deploy.console import UsageError
from deploy.resync.instants import end_instant, first_instant
from shared import database
from shared.operations.estimate import estimate
from shared.operations.selection import Selection
from shared.settings import Settings
from shared.vocabulary import Platform, SyncStatus
from tests.api_stub.support import Rows

DAY = datetime(2026, 6, 23, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("value", "first", "end"),
    [
        ("2026-06-23", DAY, DAY + timedelta(days=1)),
        ("20260623", DAY, DAY + timedelta(days=1)),
        ("2026-W26-2", DAY, DAY + timedelta(days=1)),
        ("2026-06-23T00:00:00", DAY, DAY + MICROSECOND),
        ("2026-06-23T02:00:00+02:00", DAY, DAY + MICROSECOND),
        ("2026-06-23T00:00:00.000001Z", DAY + MICROSECOND, DAY + 2 * MICROSECOND),
    ],
)
def test_bare_date_means_its_utc_day(value: str, first: datetime, end: datetime) -> None:
    assert (first_instant(value, "--from"), end_instant(value, "--to")) == (first, end)


@pytest.mark.parametrize(
    "value", ["", "yesterday", "2026-02-30", "2026-W26", "2026W26", "0001-01-01T00:00:00+01:00"]
)
def test_malformed_instant_error_names_the_option(value: str) -> None:
    with pytest.raises(UsageError, match=r"^--from must be a date or an instant"):
        first_instant(value, "--from")


@pytest.mark.parametrize("value", ["9999-12-31", "9999-12-31T23:59:59.999999Z"])
def test_end_after_the_last_instant_is_refused(value: str) -> None:
    with pytest.raises(UsageError, match=r"^--to must be a date or an instant"):
        end_instant(value, "--to")


@pytest.fixture
def rows(database_url: str) -> Iterator[Rows]:
    engine = database.connect(database_url, application="tests", pool_size=1)
    yield Rows(engine)
    engine.dispose()


def expected(rows: Rows, *, after: int = 0, **selection: Any) -> tuple[int, int, int, float]:
    """Return rows, rows that cannot be refreshed, calls and dollars of a selection."""
    with rows.engine.connect() as connection:
        result = estimate(connection, Selection(**selection), Settings(x_dollars_per_read=0.5), after=after)
    return result.rows, result.unavailable, result.calls, result.dollars


def test_all_filters_must_hold(rows: Rows) -> None:
    rows.account("acc_1")
    rows.account("acc_2", workspace="ws_2", platform="tiktok")
    first = rows.publication("acc_1", created_at=DAY)
    rows.publication("acc_1", created_at=DAY + MICROSECOND, analytics={"sync_status": "failed"})
    last = rows.publication("acc_2", created_at=DAY + 2 * MICROSECOND)

    def counted(**selection: Any) -> int:
        return expected(rows, **selection)[0]

    assert counted() == 3
    assert (counted(ids=(first, last)), counted(ids=())) == (2, 0)
    assert (counted(accounts=("acc_1",)), counted(platforms=(Platform.TIKTOK,))) == (2, 1)
    assert (counted(workspaces=("ws_2",)), counted(workspaces=("ws_1", "ws_2"))) == (1, 3)
    assert counted(statuses=(SyncStatus.FAILED,)) == 1
    assert (counted(created_from=DAY + MICROSECOND), counted(created_before=DAY + MICROSECOND)) == (2, 1)
    assert (counted(after=first), counted(after=last)) == (2, 0)
    assert counted(accounts=("acc_1",), platforms=(Platform.TIKTOK,)) == 0


def test_rows_that_cannot_be_refreshed_cost_no_call_and_no_dollar(rows: Rows) -> None:
    now = datetime.now(UTC)
    unread = {"last_updated_at": None, "stale_after": now, "sync_status": "pending"}
    rows.account("acc_x", platform="x")
    rows.account("acc_gone", platform="x", state="requires_reconnect")
    rows.publication("acc_x", analytics=unread)
    rows.publication("acc_x", analytics={"last_updated_at": now})
    rows.publication("acc_x", analytics={"last_updated_at": now - timedelta(days=2)})
    rows.publication("acc_x", analytics=unread, state={"reason": "quarantined", "next_run_at": None})
    rows.publication("acc_x", analytics=unread, platform_post_id=None)
    rows.publication("acc_gone", analytics=unread, state={"reason": "blocked", "next_run_at": None})

    assert expected(rows) == (6, 3, 1, 1.0)
