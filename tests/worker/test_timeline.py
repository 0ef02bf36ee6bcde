"""A worker logs the attempts that brought no numbers, and only those that passed the fence."""

from dataclasses import replace

from shared.attempt_log import attempts_of
from tests.harness import Harness, reads
from tests.worker.running import claims
from worker.clock import DatabaseClock
from worker.errors import TryAgain
from worker.refresh import refresh


def test_failed_attempt_is_logged_with_worker_duration_and_request_id(harness: Harness) -> None:
    failing, synced = harness.publications(harness.account("acc_1"), 2)

    harness.adapter.script = lambda account, publication: (
        TryAgain("Down.") if publication.id == failing else reads(views=1)(account, publication)
    )
    (job,) = claims(harness)
    harness.execute(
        "UPDATE refresh_state SET next_run_at = now() + interval '50 s'"
    )  # it waited in the queue

    refresh(job, replace(harness.context, clock=DatabaseClock(lambda: 1_000.0)))

    entries = dict(harness.execute("SELECT publication_id, entries FROM attempt_logs"))
    assert set(entries) <= {failing, synced}
    (entry,) = entries[failing]
    assert (entry["outcome"], entry["sentence"], entry["worker"]) == ("retry", "Down.", "unnamed")
    assert len(entry["request_id"]) == 16
    assert entry["seconds"] == 0, "the wait in the queue is not the worker's"


def test_synced_attempts_write_no_log(harness: Harness) -> None:
    harness.publications(harness.account("acc_1"), 3)
    (job,) = claims(harness)

    refresh(job, harness.context)

    assert harness.execute("SELECT * FROM attempt_logs") == []


def test_attempt_behind_the_fence_is_not_logged(harness: Harness) -> None:
    harness.publications(harness.account("acc_1"))

    def lose_the_claim(*_: object) -> TryAgain:
        harness.execute("UPDATE refresh_state SET claim_seq = 99")
        return TryAgain("Down.")

    harness.adapter.script = lose_the_claim
    (job,) = claims(harness)

    refresh(job, harness.context)

    assert harness.execute("SELECT * FROM attempt_logs") == []


def test_each_attempt_stands_once_in_the_timeline(harness: Harness) -> None:
    (one,) = harness.publications(harness.account("acc_1"))
    for script in (reads(views=1), lambda *_: TryAgain("Down.")):
        harness.adapter.script = script
        harness.execute("UPDATE refresh_state SET next_run_at = now()")
        (job,) = claims(harness)
        refresh(job, harness.context)

    with harness.engine.connect() as connection:
        failure, reading = attempts_of(connection, one)
    assert (failure.outcome, failure.times, failure.worker) == ("retry", 1, "unnamed")
    assert (reading.outcome, reading.times, reading.freshness is None) == ("synced", 1, False)
