"""What the fenced transaction writes of each outcome: what is replaced, what is kept, which snapshots."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.outcome_kinds import OutcomeKind
from shared.refresh_state.notifications import REFRESHED_CHANNEL
from shared.vocabulary import Platform, Reason, SyncStatus
from tests.harness import Harness
from tests.servers import connect
from worker.claims import StartedRow
from worker.outcomes.outcome import Outcome
from worker.readings import Publication
from worker.record import record

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BEFORE = {
    "sync_status": "failed",
    "error_message": "5 attempts did not succeed.",
    "metrics": {"views": 7},
    "warnings": ["old: warning"],
    "last_updated_at": NOW - 8 * HOUR,
    "stale_after": NOW - 2 * HOUR,
    "snapshot_at": NOW - DAY,
    "attempted_at": NOW - HOUR,
    "outcome": "failed",
    "outcome_detail": "Down.",
    "version": 3,
}
STATE = {
    "next_run_at": NOW + HOUR,
    "claim_seq": 4,
    "claimed_at": NOW,
    "attempts": 5,
    "unfinished": 2,
    "missing_since": NOW - DAY,
    "reason": "claimed",
}


def started(harness: Harness, number: int, **state: Any) -> list[StartedRow]:
    """Store so many failed rows of one account that a worker has started, and return them."""
    ids = harness.publications(harness.account("acc_1"), number, **{**STATE, **state})
    columns = ", ".join(f"{name} = :{name}" for name in BEFORE if name != "metrics")
    harness.execute(
        f"UPDATE post_analytics SET metrics = '{{\"views\": 7}}', {columns}",
        **{name: value for name, value in BEFORE.items() if name != "metrics"},
    )
    return [
        StartedRow(
            publication=Publication(one, f"acc_1_{n}", None, None, NOW),
            claim_seq=4,
            attempts=5,
            unfinished=2,
            missing_since=NOW - DAY,
            sync_status=SyncStatus.FAILED,
            metrics={"views": 7},
            warnings=("old: warning",),
            last_updated_at=NOW - 8 * HOUR,
            snapshot_at=NOW - DAY,
        )
        for n, one in enumerate(ids, start=1)
    ]


def recorded(harness: Harness, *outcomes: Outcome, workspace: str = "ws_1") -> tuple[Outcome, ...]:
    with harness.engine.begin() as connection:
        return record(connection, workspace, outcomes)


def analytics(harness: Harness, row: StartedRow) -> dict[str, Any]:
    stored = harness.state(row.publication.id)._mapping
    return {name: stored[name] for name in BEFORE}


def state(harness: Harness, row: StartedRow) -> tuple[Any, ...]:
    stored = harness.state(row.publication.id)
    return (
        stored.next_run_at,
        stored.reason,
        stored.attempts,
        stored.missing_since,
        stored.claimed_at,
        stored.unfinished,
        stored.priority,
        stored.claim_seq,
    )


def paused(row: StartedRow) -> Outcome:
    return Outcome(
        row,
        OutcomeKind.PAUSED,
        Reason.PAUSED,
        NOW + HOUR,
        attempts=4,
        missing_since=NOW - 2 * DAY,
        detail="Limit.",
        warnings=("new: warning",),
    )


def synced(row: StartedRow, **changed: Any) -> Outcome:
    outcome = Outcome(
        row,
        OutcomeKind.SYNCED,
        Reason.STALE,
        NOW + 6 * HOUR,
        attempts=0,
        sync_status=SyncStatus.SYNCED,
        metrics={"views": 8},
        last_updated_at=NOW,
        stale_after=NOW + 6 * HOUR,
        completed=True,
    )
    return replace(outcome, **changed)


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


def test_attempt_without_numbers_adds_no_snapshot(harness: Harness) -> None:
    (row,) = started(harness, 1)

    recorded(
        harness,
        synced(row, completed=False, outcome=OutcomeKind.UNAVAILABLE, metrics=None, last_updated_at=None),
    )

    assert snapshots(harness) == []
    assert harness.state(row.publication.id).snapshot_at == NOW - DAY


def test_new_id_is_stored_only_in_its_own_workspace(harness: Harness) -> None:
    learner, clash, same, foreign, without_id = started(harness, 5)
    recorded(harness, synced(foreign, platform_post_id="from elsewhere"), workspace="ws_2")
    recorded(
        harness,
        synced(learner, platform_post_id="new"),
        synced(clash, platform_post_id="acc_1_3"),
        synced(same, platform_post_id="acc_1_3"),
        synced(without_id),
    )

    ids = harness.execute("SELECT platform_post_id FROM publications ORDER BY id")
    assert [one for (one,) in ids] == ["new", "acc_1_2", "acc_1_3", "acc_1_4", "acc_1_5"]
    assert (harness.state(clash.publication.id).outcome, harness.state(same.publication.id).outcome) == (
        "duplicate",
        "synced",
    )


def test_new_id_of_a_claim_that_no_longer_stands_is_not_stored(harness: Harness) -> None:
    own, taken_over, finished = started(harness, 3)
    for row, change in ((taken_over, "claim_seq = 5"), (finished, "claimed_at = NULL")):
        harness.execute(
            f"UPDATE refresh_state SET {change} WHERE publication_id = :id", id=row.publication.id
        )

    written = recorded(
        harness,
        *(synced(row, platform_post_id=f"new_{row.publication.id}") for row in (own, taken_over, finished)),
    )

    assert [outcome.row for outcome in written] == [own]
    ids = harness.execute("SELECT platform_post_id FROM publications ORDER BY id")
    assert [one for (one,) in ids] == [f"new_{own.publication.id}", "acc_1_2", "acc_1_3"]


def test_publications_of_two_accounts_may_have_the_same_id(harness: Harness) -> None:
    (row,) = started(harness, 1)
    harness.publications(harness.account("acc_2", Platform.X))
    harness.execute("UPDATE publications SET platform_post_id = 'shared' WHERE account_id = 'acc_2'")

    recorded(harness, synced(row, platform_post_id="shared"))

    assert harness.execute("SELECT count(*) FROM publications WHERE platform_post_id = 'shared'") == [(2,)]


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
        said = [notice.payload for notice in listener.notifies(timeout=5, stop_after=2)]

    assert sorted(said[0].split(",")) == sorted(str(one.publication.id) for one in (first, third))
    assert said[1] == "end"
