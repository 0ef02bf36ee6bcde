"""What the fenced transaction writes of each outcome: what is replaced, what is kept, which snapshots."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text

from shared.outcome_kinds import OutcomeKind
from shared.refresh_state.make_due import make_due
from shared.refresh_state.notifications import REFRESHED_CHANNEL
from shared.vocabulary import Reason, SyncStatus
from tests.harness import Harness
from tests.servers import connect
from tests.worker.recording import (
    BEFORE,
    DAY,
    HOUR,
    NOW,
    analytics,
    paused,
    recorded,
    started,
    state,
    synced,
)
from worker.outcomes.outcome import Outcome
from worker.record import record


def test_an_attempt_is_later_than_every_request_that_found_its_row_claimed(harness: Harness) -> None:
    """A request that leaves the row to its worker waits for an attempt that is not older than itself."""
    (row,) = started(harness, 1)
    with harness.engine.connect() as recording, recording.begin():
        recording.execute(text("SELECT now()"))  # the transaction has its time
        with harness.engine.begin() as requesting:
            make_due(requesting, "ws_1", [row.publication.id], Reason.MANUAL)
            requested_at = requesting.execute(text("SELECT now()")).scalar_one()
        record(recording, "ws_1", [synced(row)])

    assert analytics(harness, row)["attempted_at"] > requested_at


def test_outcome_writes_its_fields_and_keeps_the_others(harness: Harness) -> None:
    deferred, full, gone, overtaken, retry = rows = started(harness, 5, priority=1)
    outcomes = (
        Outcome(retry, OutcomeKind.RETRY, Reason.RETRY, NOW + HOUR, attempts=-1),
        synced(replace(overtaken, claim_seq=3)),
        Outcome(
            gone,
            OutcomeKind.GONE,
            Reason.STOPPED,
            None,
            attempts=0,
            sync_status=SyncStatus.FAILED,
            error_message="It is gone.",
            stale_after=NOW + HOUR,
        ),
        synced(full),
        paused(deferred),
    )

    written = recorded(harness, *outcomes)

    assert [one.row.publication.id for one in written] == [
        one.publication.id for one in rows if one is not overtaken
    ]
    now = harness.state(deferred.publication.id).attempted_at
    assert now > NOW - timedelta(days=3650)
    assert analytics(harness, deferred) == BEFORE | {
        "warnings": ["new: warning"],
        "attempted_at": now,
        "outcome": "paused",
        "outcome_detail": "Limit.",
        "version": 4,
    }, "a failed row keeps its error over a pause"
    assert state(harness, deferred) == (NOW + HOUR, "paused", 4, NOW - 2 * DAY, None, 0, 1, 4)
    assert analytics(harness, full) == {
        "sync_status": "synced",
        "error_message": None,
        "metrics": {"views": 8},
        "warnings": [],
        "last_updated_at": NOW,
        "stale_after": NOW + 6 * HOUR,
        "snapshot_at": NOW,
        "attempted_at": now,
        "outcome": "synced",
        "outcome_detail": None,
        "version": 4,
    }
    assert state(harness, full) == (NOW + 6 * HOUR, "stale", 0, None, None, 0, 0, 4)
    assert analytics(harness, gone) == BEFORE | {
        "error_message": "It is gone.",
        "warnings": [],
        "stale_after": None,
        "attempted_at": now,
        "outcome": "gone",
        "outcome_detail": None,
        "version": 4,
    }
    assert state(harness, gone) == (None, "stopped", 0, None, None, 0, 0, 4)
    assert state(harness, retry) == (NOW + HOUR, "retry", 0, None, None, 0, 1, 4)
    assert analytics(harness, overtaken) == BEFORE
    assert state(harness, overtaken) == (NOW + HOUR, "claimed", 5, NOW - DAY, NOW, 2, 1, 4)
    assert snapshots(harness) == [(full.publication.id, NOW, NOW, 1, 4, "synced", {"views": 8})]


def snapshots(harness: Harness) -> list[tuple[Any, ...]]:
    rows = harness.execute(
        "SELECT publication_id, taken_at, last_seen_at, reads, claim_seq, sync_status, metrics FROM snapshots"
        " ORDER BY publication_id, taken_at"
    )
    return [tuple(row) for row in rows]


def test_no_outcomes_write_nothing(harness: Harness) -> None:
    (row,) = started(harness, 1)

    assert recorded(harness) == ()
    assert recorded(harness, synced(replace(row, claim_seq=5))) == ()
    harness.execute("UPDATE refresh_state SET claimed_at = NULL")
    assert recorded(harness, synced(row)) == (), "the claim is closed"
    assert analytics(harness, row) == BEFORE


NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
SNAPSHOT_CASES: list[tuple[datetime | None, datetime, dict[str, Any], bool]] = [
    (NOW - DAY, NOW, {}, True),
    (NOVEMBER, NOW, {}, True),
    (datetime(2026, 11, 30, 23, tzinfo=UTC), datetime(2026, 12, 1, 1, tzinfo=UTC), {}, False),
    (datetime(2025, 11, 26, tzinfo=UTC), NOW, {}, False),
    (NOW - DAY, NOW, {"metrics": {"views": 8}}, False),
    (NOW - DAY, NOW, {"metrics": {"views": 7, "likes": 0}}, False),
    (NOW - DAY, NOW, {"sync_status": SyncStatus.PARTIAL}, False),
    (None, NOW, {}, False),
]
"""The newest snapshot, the instant of the reading, what it changes, and whether it extends the snapshot."""


def test_unchanged_reading_extends_newest_snapshot_of_its_month(harness: Harness) -> None:
    rows = started(harness, len(SNAPSHOT_CASES))
    outcomes, expected = [], []
    for row, (before, read_at, changed, extended) in zip(rows, SNAPSHOT_CASES, strict=True):
        one = row.publication.id
        harness.execute(
            "UPDATE post_analytics SET snapshot_at = :at WHERE publication_id = :id", at=before, id=one
        )
        older, newest = (before or NOW) - 3 * DAY, before or NOW - DAY
        for at, reads in ((older, 3), (newest, 2)):
            harness.execute(
                "INSERT INTO snapshots (publication_id, taken_at, last_seen_at, reads, claim_seq,"
                " sync_status, metrics) VALUES (:id, :at, :at, :reads, 1, 'synced', '{\"views\": 7}')",
                id=one,
                at=at,
                reads=reads,
            )
        reading = {"metrics": {"views": 7}, "last_updated_at": read_at, **changed}
        outcomes.append(synced(replace(row, snapshot_at=before, sync_status=SyncStatus.SYNCED), **reading))
        expected.append((one, older, older, 3))
        expected += (
            [(one, newest, read_at, 3)]
            if extended
            else [(one, newest, newest, 2), (one, read_at, read_at, 1)]
        )

    recorded(harness, *outcomes)

    assert [snapshot[:4] for snapshot in snapshots(harness)] == expected
    assert [harness.state(row.publication.id).snapshot_at for row in rows] == [
        before if extended else read_at for before, read_at, _, extended in SNAPSHOT_CASES
    ]


def test_unchanged_reading_whose_snapshot_is_gone_adds_one(harness: Harness) -> None:
    """Retention may have dropped the snapshot between the start of the refresh and its end."""
    (row,) = started(harness, 1)
    before = replace(row, snapshot_at=NOW - HOUR, sync_status=SyncStatus.SYNCED)

    recorded(harness, synced(before, metrics={"views": 7}, last_updated_at=NOW))

    assert [snapshot[:4] for snapshot in snapshots(harness)] == [(row.publication.id, NOW, NOW, 1)]
    assert harness.state(row.publication.id).snapshot_at == NOW


def test_attempt_that_is_no_sync_adds_and_extends_no_snapshot(harness: Harness) -> None:
    same, other = rows = started(harness, 2)
    for row in rows:
        harness.execute(
            "INSERT INTO snapshots (publication_id, taken_at, last_seen_at, claim_seq, sync_status, metrics)"
            " VALUES (:id, :at, :at, 1, 'failed', '{\"views\": 7}')",
            id=row.publication.id,
            at=NOW - DAY,
        )
    before = snapshots(harness)
    unavailable = synced(same, completed=False, outcome=OutcomeKind.UNAVAILABLE, sync_status=same.sync_status)

    recorded(harness, replace(unavailable, metrics=same.metrics), replace(unavailable, row=other))

    assert snapshots(harness) == before
    assert [harness.state(row.publication.id).snapshot_at for row in rows] == [NOW - DAY] * 2


def test_only_rows_with_priority_are_notified(harness: Harness, database_url: str) -> None:
    first, second, third = started(harness, 3)
    harness.execute(
        "UPDATE refresh_state SET priority = 1 WHERE publication_id = ANY(:ids)",
        ids=[first.publication.id, third.publication.id],
    )
    with connect(database_url) as listener:
        listener.execute(f"LISTEN {REFRESHED_CHANNEL}")
        recorded(harness, synced(third), synced(second), synced(first))
        recorded(harness, synced(second))
        listener.execute(f"NOTIFY {REFRESHED_CHANNEL}, 'end'")
        said = [notice.payload for notice in listener.notifies(timeout=30, stop_after=2)]

    assert sorted(said[0].split(",")) == sorted(str(one.publication.id) for one in (first, third))
    assert said[1] == "end"


def test_each_reading_keeps_what_explains_when_it_was_due_again(harness: Harness) -> None:
    (row,) = started(harness, 1)
    first, second = {"policy": "adaptive", "hours": 2.0}, {"policy": "adaptive", "hours": 5.0}
    plans = "SELECT freshness FROM snapshots ORDER BY taken_at"

    recorded(harness, synced(row, metrics={"views": 8}, last_updated_at=NOW, freshness=first))
    assert [snapshot.freshness for snapshot in harness.execute(plans)] == [first]

    harness.execute("UPDATE refresh_state SET claimed_at = now(), claim_seq = 4")
    again = replace(row, snapshot_at=NOW, metrics={"views": 8}, sync_status=SyncStatus.SYNCED)
    recorded(harness, synced(again, metrics={"views": 8}, last_updated_at=NOW + HOUR, freshness=second))
    assert [snapshot.freshness for snapshot in harness.execute(plans)] == [second]


def test_last_update_stands_when_the_database_s_clock_was_set_back(harness: Harness) -> None:
    (row,) = started(harness, 1)
    later = NOW + HOUR
    harness.execute("UPDATE post_analytics SET last_updated_at = :later", later=later)

    recorded(harness, synced(row))

    assert analytics(harness, row)["last_updated_at"] == later
