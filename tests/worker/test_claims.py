"""The start of a job: the claims that stand, the counted attempts, and the stored values of each row."""

from datetime import UTC, datetime, timedelta

from shared.refresh_queue import RefreshJob
from shared.vocabulary import SyncStatus
from tests.harness import Harness
from worker.claims import StartedRow, extend, start
from worker.readings import Publication

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
LEASE = timedelta(seconds=60)


def test_start_uses_up_valid_claims_and_returns_their_rows(harness: Harness) -> None:
    account = harness.account("acc_1")
    claimed = {"claim_seq": 4, "claimed_at": NOW, "reason": "claimed"}
    ids = harness.publications(account, 5, **claimed, attempts=2, unfinished=1, missing_since=NOW, priority=1)
    full, worn, overtaken, released, plain = ids
    (foreign,) = harness.publications(harness.account("acc_2"), 1, **claimed)
    harness.execute(
        "UPDATE publications SET published_at = :at, publish_id = 'v1', media_type = 'REELS' WHERE id = :id",
        at=NOW,
        id=full,
    )
    harness.execute(
        "UPDATE post_analytics SET sync_status = 'partial', metrics = '{\"views\": 7}',"
        " warnings = '{\"a: b\"}', last_updated_at = :at,"
        " snapshot_at = CAST(:at AS timestamptz) - interval '1 day', freshness = '{\"policy\": \"adaptive\"}'"
        " WHERE publication_id = :id",
        at=NOW,
        id=full,
    )
    for one, change in (
        (worn, "attempts = 30000, unfinished = 30000"),
        (overtaken, "claim_seq = 5"),
        (released, "claimed_at = NULL"),
    ):
        harness.execute(f"UPDATE refresh_state SET {change} WHERE publication_id = {one}")
    harness.execute("INSERT INTO read_counts (publication_id, reads) VALUES (:id, 40)", id=full)
    job = RefreshJob("acc_1", tuple((one, 4) for one in reversed([*ids, foreign])))

    with harness.engine.begin() as connection:
        started = start(connection, job, LEASE)

    assert started is not None
    assert [row.publication.id for row in started.rows] == [full, worn, plain]
    assert started.rows[0] == StartedRow(
        publication=Publication(full, "acc_1_1", "v1", "REELS", NOW),
        claim_seq=5,
        attempts=3,
        unfinished=2,
        missing_since=NOW,
        sync_status=SyncStatus.PARTIAL,
        metrics={"views": 7},
        warnings=("a: b",),
        last_updated_at=NOW,
        snapshot_at=NOW - timedelta(days=1),
        freshness={"policy": "adaptive"},
        reads=40,
        priority=1,
    )
    assert (started.rows[1].attempts, started.rows[1].unfinished) == (30_000, 30_000)
    created = harness.execute("SELECT created_at FROM publications WHERE id = :id", id=plain)[0].created_at
    assert started.rows[2].publication == Publication(plain, "acc_1_5", None, None, created)
    states = harness.execute(
        "SELECT claim_seq, attempts, unfinished, next_run_at - :now AS lease FROM refresh_state"
        " ORDER BY publication_id",
        now=started.at,
    )
    assert [(row.claim_seq, row.attempts, row.lease == LEASE) for row in states] == [
        (5, 3, True),
        (5, 30_000, True),
        (5, 2, False),
        (4, 2, False),
        (5, 3, True),
        (4, 0, False),
    ]


def test_start_without_standing_claims_returns_none(harness: Harness) -> None:
    ids = harness.publications(harness.account("acc_1"), 1, claim_seq=4, claimed_at=NOW, reason="claimed")
    job = RefreshJob("acc_1", ((ids[0], 4),))

    with harness.engine.begin() as connection:
        assert start(connection, job, LEASE) is not None
        assert start(connection, job, LEASE) is None, "the same message delivered twice starts once"
        assert start(connection, RefreshJob("acc_2", ((ids[0], 5),)), LEASE) is None


def test_lease_is_extended_only_for_waiting_rows_with_standing_claims(harness: Harness) -> None:
    ids = harness.publications(harness.account("acc_1"), 5, claim_seq=4, claimed_at=NOW, reason="claimed")
    waits, read, overtaken, released, other = ids
    with harness.engine.begin() as connection:
        started = start(connection, RefreshJob("acc_1", tuple((one, 4) for one in ids)), LEASE)
    assert started is not None
    rows = {row.publication.id: row for row in started.rows}
    harness.execute("UPDATE refresh_state SET next_run_at = :soon", soon=NOW)
    harness.execute(f"UPDATE refresh_state SET claim_seq = 6 WHERE publication_id = {overtaken}")
    harness.execute(f"UPDATE refresh_state SET claimed_at = NULL WHERE publication_id = {released}")

    with harness.engine.begin() as connection:
        at = connection.exec_driver_sql("SELECT now()").scalar_one()
        extended = extend(connection, [rows[overtaken], rows[waits], rows[released]], [rows[read]], LEASE)

    assert extended == {waits, read}
    states = harness.execute("SELECT publication_id, next_run_at FROM refresh_state ORDER BY 1")
    assert dict(tuple(row) for row in states) == dict.fromkeys(ids, NOW) | {waits: at + LEASE}
    assert other not in extended


def test_lease_of_a_job_ends_with_the_first_of_its_rows(harness: Harness) -> None:
    claimed = {"claim_seq": 4, "claimed_at": NOW, "reason": "claimed"}
    ids = harness.publications(harness.account("acc_1"), 2, **claimed)
    harness.execute(
        "UPDATE refresh_state SET next_run_at = now() + interval '59 s' WHERE publication_id = :id", id=ids[1]
    )

    with harness.engine.begin() as connection:
        started = start(connection, RefreshJob("acc_1", tuple((one, 4) for one in ids)), LEASE)

    ends = harness.execute("SELECT min(next_run_at) AS first, max(next_run_at) AS last FROM refresh_state")[0]
    assert started is not None
    assert (started.leased_until == ends.first, ends.first < ends.last) == (True, True)
