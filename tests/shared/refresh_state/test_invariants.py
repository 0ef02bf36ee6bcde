"""The checking query: what it finds, and what is as it should be."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.operations.audit_log import Operator
from shared.operations.pause import Scope, pause_scope
from shared.refresh_state.invariants import Breach, StuckRow, count_stuck, stuck
from shared.vocabulary import PauseKind, Platform
from tests.harness import Harness

NOW = timedelta()
LATER = timedelta(days=300)
TOO_LATE = timedelta(days=400)
NO_ID = {"platform_post_id": None}
PUBLISH_ID = {"platform_post_id": None, "publish_id": "v_pub_1"}


def stuck_rows(harness: Harness) -> list[StuckRow]:
    with harness.engine.connect() as connection:
        return stuck(connection)


def row(
    harness: Harness,
    account_state: str = "active",
    *,
    reason: str = "stopped",
    next_run: timedelta | None = None,
    publication: dict[str, Any] | None = None,
    account_id: str = "acc_1",
    **analytics: Any,
) -> int:
    """Store one row of an account in this state and return its id."""
    account = harness.account(account_id, Platform.TIKTOK, state=account_state)
    next_run_at = datetime.now(UTC) + next_run if next_run is not None else None
    (publication_id,) = harness.publications(account, reason=reason, next_run_at=next_run_at)
    tables = (("publications", "id", publication or {}), ("post_analytics", "publication_id", analytics))
    for table, key, columns in tables:
        for name, value in columns.items():
            statement = f"UPDATE {table} SET {name} = :value WHERE {key} = :id"
            harness.execute(statement, value=value, id=publication_id)
    return publication_id


FINE: list[dict[str, Any]] = [
    {"reason": "stale", "next_run": LATER},
    {"reason": "new", "next_run": -LATER},
    {"reason": "claimed", "next_run": timedelta(seconds=30)},
    {"reason": "quarantined", "sync_status": "failed", "outcome": "quarantined"},
    {"outcome": "gone", "sync_status": "failed"},
    {"outcome": "window_closed", "sync_status": "partial"},
    {"publication": NO_ID},
    {"publication": PUBLISH_ID, "outcome": "processing"},
    {"account_state": "disconnected", "reason": "blocked", "sync_status": "requires_reconnect"},
    {"account_state": "requires_reconnect", "reason": "quarantined"},
    {"account_state": "disconnected", "reason": "stopped"},
    {"account_state": "disconnected", "reason": "stale"},
]


@pytest.mark.parametrize("state", FINE)
def test_row_that_is_due_claimed_or_stopped_for_a_recorded_reason_is_not_stuck(
    harness: Harness, state: dict[str, Any]
) -> None:
    row(harness, **state)

    assert stuck_rows(harness) == []


STUCK: list[tuple[Breach, dict[str, Any]]] = [
    (Breach.NEVER_DUE, {"reason": "blocked", "sync_status": "requires_reconnect"}),
    (Breach.NEVER_DUE, {"reason": "stale"}),
    (Breach.NEVER_DUE, {"reason": "claimed"}),
    (Breach.NEVER_DUE, {}),
    (Breach.NEVER_DUE, {"outcome": "synced", "sync_status": "synced"}),
    (Breach.NEVER_DUE, {"outcome": "processing"}),
    (Breach.NEVER_DUE, {"publication": PUBLISH_ID}),
    (Breach.NEVER_DUE, {"publication": NO_ID, "sync_status": "requires_reconnect"}),
    (Breach.NEVER_DUE, {"outcome": "gone", "sync_status": "requires_reconnect"}),
    (Breach.FAR_FUTURE, {"reason": "paused", "next_run": TOO_LATE}),
    (Breach.NOT_ACTIVE, {"account_state": "disconnected", "reason": "new", "next_run": NOW}),
    (Breach.NOT_ACTIVE, {"account_state": "requires_reconnect", "reason": "claimed", "next_run": NOW}),
    (Breach.NOT_ACTIVE, {"account_state": "disconnected", "reason": "paused", "next_run": TOO_LATE}),
]


@pytest.mark.parametrize(("breach", "state"), STUCK)
def test_any_other_row_is_stuck(harness: Harness, breach: Breach, state: dict[str, Any]) -> None:
    publication_id = row(harness, **state)

    assert stuck_rows(harness) == [StuckRow(publication_id, "acc_1", "tiktok", breach)]
    with harness.engine.connect() as connection:
        assert count_stuck(connection) == {("tiktok", breach): 1}


def test_row_deferred_by_an_open_ended_pause_is_not_stuck(harness: Harness) -> None:
    row(harness, reason="paused", next_run=TOO_LATE)
    with harness.engine.begin() as connection:
        pause_scope(connection, Operator("ada", "command"), Scope(account_id="acc_1"), "a wish")
        assert stuck(connection) == []


def test_stuck_rows_are_found_among_rows_in_every_state(harness: Harness) -> None:
    for number, state in enumerate(FINE):
        row(harness, account_id=f"acc_fine_{number}", **state)
    expected = [
        (row(harness, account_id=f"acc_stuck_{number}", **state), breach)
        for number, (breach, state) in enumerate(reversed(STUCK))
    ]

    assert [(one.publication_id, one.breach) for one in stuck_rows(harness)] == expected
    harness.execute("UPDATE accounts SET platform = 'x' WHERE account_id = 'acc_stuck_0'")
    with harness.engine.connect() as connection:
        assert [one.publication_id for one in stuck(connection, most=3)] == [one for one, _ in expected[:3]]
        assert count_stuck(connection) == {
            ("tiktok", Breach.NEVER_DUE): 9,
            ("tiktok", Breach.FAR_FUTURE): 1,
            ("tiktok", Breach.NOT_ACTIVE): 2,
            ("x", Breach.NOT_ACTIVE): 1,
        }


def test_row_deferred_by_a_pause_of_background_work_is_not_stuck(harness: Harness) -> None:
    row(harness, reason="paused", next_run=TOO_LATE)
    kind = next(kind for kind in PauseKind if kind.background_only)
    harness.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " VALUES ('tiktok', :kind, '', now() + interval '1 day', 'nearly used up')",
        kind=kind.value,
    )

    assert stuck_rows(harness) == []
