"""A refresh from start to finish: every exit records, the fence holds, the last good metrics stay."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from shared.ingestion import importer
from shared.partitions import ensure_partitions
from shared.vocabulary import BucketKind, Platform
from tests.harness import Harness, open_harness, reads
from tests.worker.running import await_lock, claims, fenced_writes, run, snapshots
from worker.clock import DatabaseClock
from worker.errors import Paused, TryAgain
from worker.readings import Answer, Publication, Reading
from worker.refresh import refresh


def test_instants_are_the_database_s_whatever_this_machine_s_clock_says(harness: Harness) -> None:
    publication = harness.publications(harness.account("acc_1"))[0]
    harness.context.clock.set(datetime(2020, 1, 1, tzinfo=UTC), 0)

    run(harness)

    row = harness.state(publication)
    assert row.last_updated_at > datetime.now(UTC) - timedelta(minutes=1)


def test_start_that_waits_for_a_lock_does_not_set_the_clock_back(database_url: str) -> None:
    with open_harness(database_url) as opened, ThreadPoolExecutor(1) as worker:
        seconds = [0.0]
        harness = replace(opened, context=replace(opened.context, clock=DatabaseClock(lambda: seconds[0])))
        (publication,) = harness.publications(harness.account("acc_1"))
        (job,) = claims(harness)
        with harness.engine.begin() as other:
            began = other.execute(text("SELECT now() FROM refresh_state FOR UPDATE")).scalar_one()
            refreshing = worker.submit(refresh, job, harness.context)
            await_lock(harness)
            seconds[0] += 20
        refreshing.result(timeout=30)

        assert harness.state(publication).last_updated_at >= began + timedelta(seconds=20)


def test_reading_is_served_and_due_again_when_the_policy_says(harness: Harness) -> None:
    publication = harness.publications(harness.account("acc_1"))[0]
    harness.adapter.script = reads(views=7, likes=2)

    run(harness)

    row = harness.state(publication)
    assert (row.sync_status, row.metrics, row.warnings) == ("synced", {"views": 7, "likes": 2}, [])
    assert (row.attempts, row.unfinished, row.claimed_at, row.reason) == (0, 0, None, "stale")
    assert (row.stale_after - row.last_updated_at) / timedelta(hours=1) == pytest.approx(
        row.freshness["hours"], rel=1e-4
    )
    assert row.next_run_at == row.stale_after
    assert row.freshness["value"] == 7
    assert snapshots(harness) == [({"views": 7, "likes": 2}, 1)]


def test_next_plan_continues_from_the_last_one_with_the_reads_since(harness: Harness) -> None:
    publication = harness.publications(harness.account("acc_1"))[0]
    harness.adapter.script = reads(views=7)
    run(harness)
    harness.execute("INSERT INTO read_counts (publication_id, reads) VALUES (:id, 5)", id=publication)
    harness.adapter.script = reads(views=19)
    run(harness)

    stored = harness.state(publication).freshness
    assert (stored["value"], stored["observed"], stored["reads"], stored["counted"]) == (19, 12, 5, 5)

    harness.adapter.script = lambda _account, _publication: TryAgain("no answer")
    run(harness)
    assert harness.state(publication).freshness == stored


def test_unchanged_readings_share_a_snapshot_and_changed_ones_add_one(harness: Harness) -> None:
    harness.publications(harness.account("acc_1"))
    run(harness, times=3)
    harness.adapter.script = reads(views=2)
    run(harness)

    assert snapshots(harness) == [({"views": 1}, 3), ({"views": 2}, 1)]


def test_one_missing_post_does_not_affect_its_siblings(harness: Harness) -> None:
    ids = harness.publications(harness.account("acc_1"), 3)
    harness.adapter.script = lambda _account, publication: (
        Reading(publication.id, Answer.MISSING)
        if publication.id == ids[1]
        else Reading(publication.id, Answer.READ, {"views": 5})
    )

    run(harness)

    assert [harness.state(one).sync_status for one in ids] == ["synced", "pending", "synced"]
    assert harness.state(ids[1]).warnings[0].startswith("post_missing: ")


def test_error_applies_only_to_rows_without_a_reading(harness: Harness) -> None:
    ids = harness.publications(harness.account("acc_1"), 2)
    harness.adapter.script = lambda _account, publication: (
        Reading(publication.id, Answer.READ, {"views": 5}) if publication.id == ids[0] else TryAgain("Down.")
    )

    run(harness)

    assert [(harness.state(one).sync_status, harness.state(one).reason) for one in ids] == [
        ("synced", "stale"),
        ("pending", "retry"),
    ]


def test_limit_costs_no_attempt_and_pauses_its_bucket(harness: Harness) -> None:
    publication = harness.publications(harness.account("acc_1"))[0]
    run(harness)
    relief = datetime.now(UTC) + timedelta(minutes=10)
    harness.adapter.script = lambda *_: Paused("Limit reached.", kind=BucketKind.ACCOUNT, until=relief)

    run(harness)
    row = harness.state(publication)
    run(harness)

    assert (row.sync_status, row.metrics, row.attempts, row.reason) == ("synced", {"views": 1}, 0, "paused")
    assert timedelta(minutes=9) < row.wait < timedelta(minutes=11)
    assert [requested[0] for requested in harness.adapter.requested] == ["acc_1", "acc_1"], (
        "a parked account is not asked"
    )


def test_message_delivered_three_times_runs_once(harness: Harness) -> None:
    harness.publications(harness.account("acc_1"))
    job = claims(harness)[0]

    for _ in range(3):
        refresh(job, harness.context)

    assert len(harness.adapter.requested) == 1


def test_stale_worker_never_overwrites_newer_data(harness: Harness) -> None:
    publication = harness.publications(harness.account("acc_1", Platform.X))[0]
    slow = claims(harness)[0]
    fenced = fenced_writes(Platform.X)

    def overtaken(_account: object, one: object) -> Reading:
        del one
        if len(harness.adapter.requested) == 1:  # its lease ends meanwhile, another worker finishes
            for job in claims(harness):
                refresh(job, harness.context)
            return Reading(publication, Answer.READ, {"views": 1})
        return Reading(publication, Answer.READ, {"views": 100})

    harness.adapter.script = overtaken
    refresh(slow, harness.context)

    assert harness.state(publication).metrics == {"views": 100}
    assert snapshots(harness) == [({"views": 100}, 1)]
    assert fenced_writes(Platform.X) == fenced + 1
    assert harness.execute("SELECT reads, reserved FROM post_reads") == [(1, 0)], "the newer claim pays"


def test_refresh_that_never_finishes_is_quarantined_alone(database_url: str) -> None:
    with open_harness(database_url, quarantine_starts=3) as harness:
        poison, good = harness.publications(harness.account("acc_1"), 2)

        def deadly(_account: object, one: object) -> Reading:
            number = one.id  # type: ignore[attr-defined] # the script's second argument is a Publication
            if number == poison:
                raise KeyboardInterrupt  # as if the process were killed: nothing is recorded
            return Reading(number, Answer.READ, {"views": 1})

        harness.adapter.script = deadly
        for _ in range(5):
            for job in claims(harness):
                try:
                    refresh(job, harness.context)
                except KeyboardInterrupt:
                    continue

        assert (harness.state(good).sync_status, harness.state(good).unfinished) == ("synced", 0)
        row = harness.state(poison)
        assert (row.reason, row.next_run_at, row.sync_status) == ("quarantined", None, "failed")


def test_exception_of_an_adapter_is_recorded_as_retry(harness: Harness) -> None:
    publication = harness.publications(harness.account("acc_1"))[0]

    def buggy(*_: object) -> Reading:
        raise ZeroDivisionError

    harness.adapter.script = buggy
    run(harness)

    assert (harness.state(publication).reason, harness.state(publication).unfinished) == ("retry", 0)


def test_new_public_id_is_stored(harness: Harness) -> None:
    publication = harness.publications(harness.account("acc_1"))[0]
    harness.adapter.script = lambda _account, one: Reading(
        one.id, Answer.READ, {"views": 1}, platform_post_id="7560000000000000001"
    )
    run(harness)

    assert harness.execute("SELECT platform_post_id FROM publications") == [("7560000000000000001",)]
    assert harness.state(publication).sync_status == "synced"


def test_month_without_partition_loses_no_snapshot(harness: Harness) -> None:
    for row in harness.execute(
        "SELECT relid::regclass::text AS name FROM pg_partition_tree('snapshots') WHERE isleaf"
    ):
        if row.name != "snapshots_default":
            harness.execute(f"DROP TABLE {row.name}")
    harness.publications(harness.account("acc_1"))
    run(harness)
    with harness.engine.begin() as connection:
        assert len(ensure_partitions(connection)) == 3
        assert ensure_partitions(connection) == []

    assert snapshots(harness) == [({"views": 1}, 1)]
    assert harness.execute("SELECT count(*) FROM snapshots_default") == [(0,)]


def test_id_that_arrives_during_a_refresh_is_due_whatever_the_outcome(
    harness: Harness,
) -> None:
    harness.account("acc_1", Platform.TIKTOK)
    row = {
        "post_id": "post_1",
        "account_id": "acc_1",
        "publish_id": "v_pub_1",
        "created_at": datetime(2026, 1, 1, tzinfo=UTC).isoformat(),
    }

    def arrives(_account: object, publication: Publication) -> Reading:
        with harness.engine.begin() as connection:
            importer.import_publications(connection, [{**row, "platform_post_id": "7300000000000000001"}])
        return Reading(publication.id, Answer.PROCESSING)

    with harness.engine.begin() as connection:
        (publication,) = importer.import_publications(connection, [row]).new_ids
    harness.adapter.script = arrives
    run(harness)

    state = harness.state(publication)
    assert (state.reason, state.wait <= timedelta(), state.claimed_at) == ("new", True, None)
    harness.adapter.script = reads(views=3)
    run(harness)
    assert harness.state(publication).metrics == {"views": 3}
