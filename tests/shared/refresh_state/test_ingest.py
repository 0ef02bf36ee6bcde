"""The rows of new publications, and those whose id at the platform becomes known."""

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.refresh_state import ingest
from shared.vocabulary import Platform
from tests.harness import Harness

PAST = datetime(2026, 1, 15, 12, tzinfo=UTC)
CLAIMED: dict[str, Any] = {
    "next_run_at": PAST,
    "claim_seq": 4,
    "claimed_at": PAST,
    "attempts": 3,
    "unfinished": 2,
    "missing_since": PAST,
    "reason": "claimed",
}
STATES = ("active", "disconnected", "requires_reconnect")


def publication(harness: Harness, state: str, ids: str, **row: Any) -> int:
    """Store a publication of an account in this state; ``ids``: which ones of it are known."""
    account = harness.account(f"acc_{state}_{ids}", Platform.TIKTOK, state=state)
    (one,) = harness.publications(account, **row)
    harness.execute(
        "UPDATE publications SET platform_post_id = CASE WHEN :public THEN platform_post_id END,"
        " publish_id = CASE WHEN :publish THEN 'v_pub_1' END WHERE id = :id",
        public=ids == "public",
        publish=ids == "publish",
        id=one,
    )
    return one


def row(harness: Harness, one: int) -> tuple[Any, ...]:
    (stored,) = harness.execute("SELECT * FROM refresh_state WHERE publication_id = :id", id=one)
    return (
        stored.next_run_at,
        stored.reason,
        stored.priority,
        stored.attempts,
        stored.unfinished,
        stored.missing_since,
        stored.claimed_at,
        stored.claim_seq,
    )


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("ids", ["public", "publish", "none"])
def test_new_publication_is_due_when_it_can_be_fetched(harness: Harness, state: str, ids: str) -> None:
    one = publication(harness, state, ids)
    harness.execute("DELETE FROM refresh_state")

    with harness.engine.begin() as connection:
        now = connection.exec_driver_sql("SELECT now()").scalar_one()
        due = ingest.insert(connection, [one], 1)

    active = state == "active"
    assert due is (active and ids != "none")
    reason = "blocked" if not active else "stopped" if ids == "none" else "new"
    assert row(harness, one) == (now if due else None, reason, 1, 0, 0, None, None, 0)


def test_only_the_named_publications_are_inserted_and_one_that_is_due_is_reported(harness: Harness) -> None:
    due, waiting, other = (
        publication(harness, *each)
        for each in (("active", "public"), ("active", "none"), ("disconnected", "none"))
    )
    harness.execute("DELETE FROM refresh_state")

    with harness.engine.begin() as connection:
        assert ingest.insert(connection, [waiting, due], 0)

    assert harness.execute("SELECT publication_id FROM refresh_state ORDER BY 1") == [
        (one,) for one in sorted((due, waiting))
    ]
    assert other not in (due, waiting)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(("before", "given", "after"), [(0, 1, 1), (1, 0, 1), (0, 0, 0)])
def test_id_that_arrives_ends_the_claim_of_its_row(
    harness: Harness, state: str, before: int, given: int, after: int
) -> None:
    one = publication(harness, state, "public", **CLAIMED, priority=before)
    other = publication(harness, "active", "none", **CLAIMED)

    with harness.engine.begin() as connection:
        now = connection.exec_driver_sql("SELECT now()").scalar_one()
        ingest.lock(connection, [one])
        due = ingest.id_arrived(connection, [one], given)

    assert due is (state == "active")
    reason = "new" if due else "blocked"
    assert row(harness, one) == (now if due else None, reason, after, 0, 0, None, None, 5)
    assert row(harness, other) == (PAST, "claimed", 0, 3, 2, PAST, PAST, 4)


def test_id_that_arrives_leaves_the_quarantine_alone(harness: Harness) -> None:
    quarantined = {**CLAIMED, "next_run_at": None, "claimed_at": None, "reason": "quarantined"}
    one = publication(harness, "active", "public", **quarantined)

    with harness.engine.begin() as connection:
        assert not ingest.id_arrived(connection, [one], 1)

    assert row(harness, one) == (None, "quarantined", 0, 3, 2, PAST, None, 4)
