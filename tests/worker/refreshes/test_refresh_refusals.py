"""What a refusal of an account's authorization does: to its calls, its tokens and its other rows."""

import threading
from concurrent.futures import ThreadPoolExecutor

from pydantic import SecretStr

from shared.accounts import states
from shared.refresh_queue import RefreshJob
from shared.refresh_state.claim import JOBS_PER_ACCOUNT
from shared.vocabulary import Platform
from tests.claiming import due_jobs
from tests.harness import Harness
from tests.worker.running import fenced_writes, run
from worker.errors import Reauthorize
from worker.readings import Answer, Reading, Tokens
from worker.refresh import refresh


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


def test_refusal_of_an_account_that_is_erased_meanwhile_writes_nothing(harness: Harness) -> None:
    harness.publications(harness.account("acc_1"))
    fenced = fenced_writes()

    def erased(*_: object) -> Reauthorize:
        for table in ("refresh_state", "post_analytics", "publications", "accounts"):
            harness.execute(f"DELETE FROM {table}")
        return Reauthorize("Reconnect the account.")

    harness.adapter.script = erased
    run(harness)

    assert fenced_writes() == fenced + 1


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


def test_dead_token_is_refused_only_for_the_jobs_in_flight(harness: Harness) -> None:
    harness.publications(harness.account("acc_1"), 1_000)
    harness.adapter.script = lambda *_: Reauthorize("Reconnect the account.")
    in_flight = [job for _ in range(10) for job in due_jobs(harness.engine)]
    together = threading.Barrier(len(in_flight))

    def run_one(job: RefreshJob) -> None:
        together.wait(30)
        refresh(job, harness.context)

    with ThreadPoolExecutor(len(in_flight)) as workers:
        list(workers.map(run_one, in_flight))

    assert len(in_flight) == JOBS_PER_ACCOUNT
    assert 1 <= len(harness.adapter.requested) <= JOBS_PER_ACCOUNT
    assert due_jobs(harness.engine) == ()
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
