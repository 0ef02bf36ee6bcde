"""A refresh from start to finish: every exit records, the fence holds, the last good metrics stay."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr

from shared.accounts import states
from shared.ingestion import importer
from shared.partitions import ensure_partitions
from shared.refresh_queue import RefreshJob
from shared.refresh_state.claim import JOBS_PER_ACCOUNT, claim
from shared.vocabulary import BucketKind, Lane, Platform
from tests.harness import Harness, open_harness, reads
from worker.errors import Misconfigured, Paused, Reauthorize, TryAgain
from worker.outcomes.backoff import ATTEMPTS_UNTIL_FAILED
from worker.readings import Answer, Publication, Reading, Tokens
from worker.refresh import refresh


def claims(harness: Harness) -> tuple[RefreshJob, ...]:
    harness.execute("UPDATE refresh_state SET next_run_at = now() WHERE next_run_at IS NOT NULL")
    return claims_of_due(harness)


def claims_of_due(harness: Harness) -> tuple[RefreshJob, ...]:
    with harness.engine.begin() as connection:
        return claim(
            connection,
            Lane.BACKGROUND,
            jobs=100,
            platform_jobs=100,
            lease=timedelta(seconds=60),
            top_up=dict.fromkeys(Platform, timedelta()),
        ).jobs


def run(harness: Harness, times: int = 1) -> None:
    for _ in range(times):
        for job in claims(harness):
            refresh(job, harness.context)


def snapshots(harness: Harness) -> list[tuple[dict[str, int], int]]:
    return [(row.metrics, row.reads) for row in harness.execute("SELECT * FROM snapshots ORDER BY taken_at")]


def test_instants_are_the_database_s_whatever_this_machine_s_clock_says(harness: Harness) -> None:
    publication = harness.publications(harness.account("acc_1"))[0]
    harness.context.clock.set(datetime(2020, 1, 1, tzinfo=UTC))

    run(harness)

    row = harness.state(publication)
    assert row.last_updated_at > datetime.now(UTC) - timedelta(minutes=1)


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


def test_last_metrics_survive_failures_and_row_fails_at_the_fifth(harness: Harness) -> None:
    publication = harness.publications(harness.account("acc_1"))[0]
    run(harness)
    harness.adapter.script = lambda *_: TryAgain("The platform answered 503.")

    run(harness, times=ATTEMPTS_UNTIL_FAILED - 1)
    before = harness.state(publication)
    run(harness)
    after = harness.state(publication)

    assert (before.sync_status, before.error_message, before.attempts) == ("synced", None, 4)
    assert (after.sync_status, after.metrics, after.attempts) == ("failed", {"views": 1}, 5)
    assert "503" in after.error_message
    assert after.wait > 10 * before.wait, "it goes on being tried, at a slower pace"


def test_success_resets_attempts_and_error(harness: Harness) -> None:
    publication = harness.publications(harness.account("acc_1"))[0]
    harness.adapter.script = lambda *_: TryAgain("Down.")
    run(harness, times=6)
    harness.adapter.script = reads(views=3)
    run(harness)

    row = harness.state(publication)
    assert (row.sync_status, row.error_message, row.attempts) == ("synced", None, 0)


def test_misconfiguration_blocks_no_account_and_costs_no_attempt(harness: Harness) -> None:
    publication = harness.publications(harness.account("acc_1"))[0]
    harness.adapter.script = lambda *_: Misconfigured("The API version was refused.")

    run(harness, times=7)

    row = harness.state(publication)
    assert (row.sync_status, row.attempts) == ("pending", 0)
    assert [warning.split(":")[0] for warning in row.warnings] == ["platform_unavailable"]


def test_missing_post_is_confirmed_by_second_miss_and_then_not_polled(database_url: str) -> None:
    with open_harness(database_url, missing_confirm_seconds=0) as harness:
        publication = harness.publications(harness.account("acc_1"))[0]
        run(harness)
        harness.adapter.script = lambda _account, one: Reading(one.id, Answer.MISSING)

        run(harness)
        first = harness.state(publication)
        run(harness)
        second = harness.state(publication)

    assert (first.sync_status, first.reason) == ("synced", "unconfirmed")
    assert (second.sync_status, second.reason, second.next_run_at) == ("failed", "stopped", None)
    assert (second.metrics, second.stale_after) == ({"views": 1}, None)


def test_post_that_reappears_clears_missing_since(harness: Harness) -> None:
    publication = harness.publications(harness.account("acc_1"))[0]
    harness.adapter.script = lambda _account, one: Reading(one.id, Answer.MISSING)
    run(harness)
    harness.adapter.script = reads(views=3)
    run(harness)

    row = harness.state(publication)
    assert (row.sync_status, row.warnings, row.missing_since) == ("synced", [], None)


def test_omitted_post_is_zero_only_without_earlier_numbers(harness: Harness) -> None:
    quiet, loud = harness.publications(harness.account("acc_1"), 2)
    harness.adapter.script = lambda _account, one: Reading(
        one.id, Answer.READ, {"likes": int(one.id == loud)}
    )
    run(harness)
    harness.adapter.script = lambda _account, one: Reading(one.id, Answer.OMITTED, {"likes": 0})
    run(harness)

    assert (harness.state(quiet).metrics, harness.state(quiet).warnings) == ({"likes": 0}, [])
    assert harness.state(loud).metrics == {"likes": 1}
    assert harness.state(loud).warnings[0].startswith("no_activity_reported: ")


def test_decreased_counter_is_served_with_a_warning(harness: Harness) -> None:
    publication = harness.publications(harness.account("acc_1"))[0]
    harness.adapter.script = reads(views=9, likes=4)
    run(harness)
    harness.adapter.script = reads(views=3, likes=4)
    run(harness)

    row = harness.state(publication)
    assert row.metrics == {"views": 3, "likes": 4}
    assert row.warnings == ["counter_decreased: views fell since the last read"]


def test_unavailable_numbers_keep_the_last_ones_as_partial(harness: Harness) -> None:
    publication = harness.publications(harness.account("acc_1"))[0]
    run(harness)
    read_at = harness.state(publication).last_updated_at
    harness.adapter.script = lambda _account, one: Reading(
        one.id, Answer.UNAVAILABLE, detail="too few viewers"
    )
    run(harness)

    row = harness.state(publication)
    assert (row.sync_status, row.metrics, row.last_updated_at) == ("partial", {"views": 1}, read_at)
    assert row.warnings == ["insights_unavailable: too few viewers"]


def test_one_refusal_marks_the_account_and_ends_its_calls(harness: Harness) -> None:
    ids = harness.publications(harness.account("acc_1"), 3)
    harness.adapter.script = lambda *_: Reauthorize("Reconnect the account.")

    run(harness, times=3)

    assert len(harness.adapter.requested) == 1
    assert {harness.state(one).sync_status for one in ids} == {"requires_reconnect"}
    assert {harness.state(one).error_message for one in ids} == {"Reconnect the account."}
    assert harness.execute("SELECT state FROM accounts") == [("requires_reconnect",)]


def test_refusal_of_replaced_tokens_marks_no_account(harness: Harness) -> None:
    ids = harness.publications(harness.account("acc_1"), 3)
    fenced = fenced_writes()

    def replaced(*_: object) -> Reauthorize:
        harness.execute("UPDATE accounts SET token_version = token_version + 1")
        return Reauthorize("Reconnect the account.")

    harness.adapter.script = replaced
    run(harness)

    assert {harness.state(one).outcome for one in ids} == {"retry"}
    assert harness.execute("SELECT state FROM accounts") == [("active",)]
    assert fenced_writes() == fenced


def test_renewable_refusal_renews_tokens_once_and_continues(harness: Harness) -> None:
    account = harness.account(
        "acc_1", Platform.X, sealed_refresh_token=harness.context.vault.seal(SecretStr("old-pair"))
    )
    publication = harness.publications(account)[0]
    harness.adapter.renewal = Tokens(SecretStr("new"), None, refresh_token=SecretStr("new-pair"))
    harness.adapter.script = lambda owner, one: (
        Reading(one.id, Answer.READ, {"views": 1})
        if owner.access_token.get_secret_value() == "new"
        else Reauthorize("Expired.", renewable=True)
    )

    run(harness)

    assert harness.state(publication).sync_status == "synced"
    assert harness.adapter.renewals == ["acc_1"]
    stored = harness.execute("SELECT * FROM accounts")[0]
    assert harness.context.vault.open(stored.sealed_refresh_token).get_secret_value() == "new-pair"
    assert stored.token_version == 2


def test_message_delivered_three_times_runs_once(harness: Harness) -> None:
    harness.publications(harness.account("acc_1"))
    job = claims(harness)[0]

    for _ in range(3):
        refresh(job, harness.context)

    assert len(harness.adapter.requested) == 1


def test_stale_worker_never_overwrites_newer_data(harness: Harness) -> None:
    publication = harness.publications(harness.account("acc_1"))[0]
    slow = claims(harness)[0]
    fenced = fenced_writes()

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
    assert fenced_writes() == fenced + 1


def fenced_writes(platform: Platform = Platform.INSTAGRAM) -> float:
    label = {"platform": platform.value}
    return REGISTRY.get_sample_value("dravo_fenced_writes_total", label) or 0.0


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


def test_dead_token_is_refused_only_for_the_jobs_in_flight(harness: Harness) -> None:
    harness.publications(harness.account("acc_1"), 1_000)
    harness.adapter.script = lambda *_: Reauthorize("Reconnect the account.")
    in_flight = [job for _ in range(10) for job in claims_of_due(harness)]
    together = threading.Barrier(len(in_flight))

    def run_one(job: RefreshJob) -> None:
        together.wait(10)
        refresh(job, harness.context)

    with ThreadPoolExecutor(len(in_flight)) as workers:
        list(workers.map(run_one, in_flight))

    assert len(in_flight) == JOBS_PER_ACCOUNT
    assert 1 <= len(harness.adapter.requested) <= JOBS_PER_ACCOUNT
    assert claims_of_due(harness) == ()
    assert harness.execute("SELECT sync_status, count(*) FROM post_analytics GROUP BY 1") == [
        ("requires_reconnect", 1_000)
    ]


def test_refusal_of_account_does_not_deadlock_with_arriving_id(harness: Harness) -> None:
    read, refused = harness.publications(harness.account("acc_1"), 2)
    harness.adapter.script = lambda _account, publication: (
        Reading(publication.id, Answer.READ, {"views": 1})
        if publication.id == read
        else Reauthorize("Reconnect the account.")
    )
    with ThreadPoolExecutor(1) as worker, harness.engine.connect() as arriving:
        with arriving.begin():
            states.lock_shared(arriving, ["acc_1"])
            running = worker.submit(run, harness)
            waiting = (
                "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            while not harness.execute(waiting):
                assert not running.done()
            arriving.exec_driver_sql("SELECT FROM refresh_state ORDER BY publication_id FOR UPDATE")
        running.result(timeout=20)

    assert (harness.state(read).metrics, harness.state(read).reason) == ({"views": 1}, "blocked")
    assert harness.state(refused).reason == "blocked"


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
