"""Rows made due: deduplicated, bound to a workspace, never at the cost of the work in flight."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import make_url

from shared.refresh_state.make_due import make_due
from shared.refresh_state.notifications import DUE_CHANNEL
from shared.vocabulary import Reason
from tests.harness import Harness

LATER = datetime.now(UTC) + timedelta(hours=5)


def request(harness: Harness, ids: list[int], reason: Reason, workspace: str = "ws_1") -> int:
    with harness.engine.begin() as connection:
        return make_due(connection, workspace, ids, reason)


def test_repeated_requests_make_a_row_due_once(harness: Harness) -> None:
    ids = harness.publications(harness.account("acc_1"), 2, next_run_at=LATER, reason="stale")

    assert [request(harness, ids, Reason.READ) for _ in range(3)] == [2, 0, 0]
    assert harness.state(ids[0]).reason == "read"
    assert harness.state(ids[0]).wait <= timedelta()


def test_explicit_requests_take_the_interactive_lane(harness: Harness) -> None:
    ids = harness.publications(harness.account("acc_1"), 1, next_run_at=LATER, reason="stale")

    request(harness, ids, Reason.READ)
    assert harness.state(ids[0]).priority == 0
    assert request(harness, ids, Reason.FORCED) == 1
    assert harness.state(ids[0]).priority == 1


def test_rows_of_another_workspace_stay(harness: Harness) -> None:
    ids = harness.publications(harness.account("acc_1"), 1, next_run_at=LATER, reason="stale")

    assert request(harness, ids, Reason.MANUAL, workspace="ws_2") == 0
    assert harness.state(ids[0]).reason == "stale"


def test_claimed_row_stays_with_its_worker_and_gets_priority(harness: Harness) -> None:
    ids = harness.publications(
        harness.account("acc_1"), 1, next_run_at=LATER, claimed_at=datetime.now(UTC), reason="claimed"
    )

    request(harness, ids, Reason.FORCED)

    row = harness.state(ids[0])
    assert (row.next_run_at, row.reason, row.priority) == (LATER, "claimed", 1)


@pytest.mark.parametrize(
    ("reason", "made_due"), [(Reason.READ, 0), (Reason.MANUAL, 1), (Reason.FORCED, 1)], ids=str
)
def test_stopped_row_becomes_due_on_explicit_request_only(
    harness: Harness, reason: Reason, made_due: int
) -> None:
    ids = harness.publications(harness.account("acc_1"), 1, next_run_at=None, reason="stopped")

    assert request(harness, ids, reason) == made_due


@pytest.mark.parametrize("reason", ["blocked", "quarantined"])
def test_blocked_and_quarantined_rows_are_not_made_due(harness: Harness, reason: str) -> None:
    ids = harness.publications(harness.account("acc_1"), 1, next_run_at=None, reason=reason)

    assert request(harness, ids, Reason.MANUAL) == 0


def test_notification_is_sent_at_commit_and_not_before(harness: Harness, database_url: str) -> None:
    ids = harness.publications(harness.account("acc_1"), 1, next_run_at=LATER, reason="stale")
    url = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as listener:
        listener.execute(f"LISTEN {DUE_CHANNEL}")
        with harness.engine.connect() as connection:
            make_due(connection, "ws_1", ids, Reason.MANUAL)
            assert list(listener.notifies(timeout=0)) == []
            connection.commit()
        assert [notice.channel for notice in listener.notifies(timeout=30, stop_after=1)] == [DUE_CHANNEL]

        assert request(harness, ids, Reason.MANUAL) == 0
        listener.execute(f"NOTIFY {DUE_CHANNEL}, 'nothing else'")
        assert [notice.payload for notice in listener.notifies(timeout=30, stop_after=1)] == ["nothing else"]


PAST = datetime.now(UTC) - timedelta(hours=1)
CLAIMED = {"claimed_at": PAST, "reason": "claimed"}
ROWS: dict[str, dict[str, Any]] = {
    "later": {"next_run_at": LATER, "reason": "stale"},
    "due": {"next_run_at": PAST, "reason": "stale"},
    "due for people": {"next_run_at": PAST, "reason": "manual", "priority": 1},
    "in flight": {"next_run_at": LATER, **CLAIMED},
    "in flight for people": {"next_run_at": LATER, **CLAIMED, "priority": 1},
    "lease expired": {"next_run_at": PAST, **CLAIMED},
    "retrying": {"next_run_at": LATER, "reason": "retry"},
    "retrying for people": {"next_run_at": LATER, "reason": "retry", "priority": 1},
    "stopped": {"next_run_at": None, "reason": "stopped"},
    "blocked": {"next_run_at": None, "reason": "blocked"},
    "quarantined": {"next_run_at": None, "reason": "quarantined"},
    "of a dead account": {"next_run_at": LATER, "reason": "stale"},
    "nobody asked for": {"next_run_at": LATER, "reason": "stale"},
}
READ = ("now", "read", 0)
FORCED, MANUAL = ("now", "forced", 1), ("now", "manual", 0)
EFFECTS: list[tuple[Reason, bool | None, dict[str, tuple[str, str, int]]]] = [
    (
        Reason.READ,
        None,
        {"later": READ, "retrying": READ, "retrying for people": ("now", "read", 1)},
    ),
    (
        Reason.FORCED,
        None,
        {
            "later": FORCED,
            "due": FORCED,
            "in flight": ("unchanged", "claimed", 1),
            "lease expired": FORCED,
            "retrying": FORCED,
            "retrying for people": FORCED,
            "stopped": FORCED,
        },
    ),
    (
        Reason.MANUAL,
        False,
        {
            "later": MANUAL,
            "retrying": MANUAL,
            "retrying for people": ("now", "manual", 1),
            "stopped": MANUAL,
        },
    ),
    (
        Reason.READ,
        True,
        {
            "later": ("now", "read", 1),
            "due": ("now", "read", 1),
            "in flight": ("unchanged", "claimed", 1),
            "lease expired": ("now", "read", 1),
            "retrying": ("now", "read", 1),
            "retrying for people": ("now", "read", 1),
        },
    ),
]


def test_rows_in_every_state_are_made_due_as_their_state_allows(harness: Harness) -> None:
    harness.account("acc_1")
    harness.account("acc_dead", state="requires_reconnect")
    ids = {}
    for name, state in ROWS.items():
        account = "acc_dead" if name == "of a dead account" else "acc_1"
        (ids[name],) = harness.publications(account, **state)
        harness.execute("UPDATE publications SET platform_post_id = 'pp_' || id")
    requested = [one for name, one in ids.items() if name != "nobody asked for"]
    for reason, interactive, changed in EFFECTS:
        with harness.engine.connect() as connection:
            now = connection.exec_driver_sql("SELECT now()").scalar_one()
            count = make_due(connection, "ws_1", [*requested, *requested], reason, interactive=interactive)
            states = {
                row.publication_id: row
                for row in connection.exec_driver_sql("SELECT * FROM refresh_state").all()
            }
            connection.rollback()
        expected = {
            name: ("unchanged", state["reason"], state.get("priority", 0)) for name, state in ROWS.items()
        } | changed
        after = {}
        for name, one in ids.items():
            row = states[one]
            unchanged = "unchanged" if row.next_run_at == ROWS[name]["next_run_at"] else "other"
            after[name] = ("now" if row.next_run_at == now else unchanged, row.reason, row.priority)

        assert (reason, after) == (reason, expected)
        assert count == len(changed)


def test_lease_that_ends_now_has_expired_and_row_due_now_is_due(harness: Harness) -> None:
    account = harness.account("acc_1")
    (expired,) = harness.publications(account, 1, **CLAIMED)
    harness.execute("UPDATE publications SET platform_post_id = 'pp'")
    (due,) = harness.publications(account, 1, reason="stale")
    with harness.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE refresh_state SET next_run_at = now()")
        assert make_due(connection, "ws_1", [expired, due], Reason.READ) == 0
        assert make_due(connection, "ws_1", [expired, due], Reason.FORCED) == 2

    assert [harness.state(one).reason for one in (expired, due)] == ["forced", "forced"]
