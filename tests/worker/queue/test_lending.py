"""Threads that are reserved for people run background jobs meanwhile, and come back between two calls."""

import queue
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import dramatiq
import httpx
import pytest
from pydantic import SecretStr

from shared.redis_client import RedisClient
from shared.refresh_queue import broker, enqueue
from shared.settings import Settings
from shared.vocabulary import Lane, Platform, Reason, SyncStatus
from tests.claiming import due_jobs
from tests.faults.harness.waiting import wait_until
from tests.harness import Harness, ScriptedAdapter
from tests.worker.http.in_process import InProcess
from worker.__main__ import build_worker
from worker.adapters.contract import Upstream
from worker.http.client import Client
from worker.queue.current_jobs import CurrentJobs
from worker.queue.lending import Lending, nothing_lent, waiting_in
from worker.quota.fleet import FleetBudgets
from worker.readings import Account, Publication, Reading

CALLS, BATCH = 3, 20


class CallingAdapter(ScriptedAdapter):
    """A scripted adapter that makes its call, whose address names the account, before it answers."""

    def fetch(
        self, upstream: Upstream, account: Account, publications: Sequence[Publication]
    ) -> Iterator[Reading]:
        """Call, then answer by script."""
        upstream.send("POST", f"https://platform.test/{account.account_id}", endpoint="video/query")
        return super().fetch(upstream, account, publications)


class SlowPlatform:
    """A platform whose calls take until the test lets them end."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self.began, self.may_end = threading.Semaphore(0), threading.Semaphore(0)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Note the call and wait."""
        self.called.append(request.url.path[1:])
        self.began.release()
        assert self.may_end.acquire(timeout=60)
        return httpx.Response(200)


def test_job_that_somebody_waits_for_starts_after_one_call_of_a_lent_thread(
    harness: Harness, client: RedisClient, redis_url: str
) -> None:
    platform, adapter = SlowPlatform(), CallingAdapter()
    settings = Settings(redis_url=SecretStr(redis_url), worker_threads=2)
    context = replace(
        harness.context,
        budgets=FleetBudgets.of(settings, client),
        client=Client(transport=InProcess(platform.answer), now=harness.context.clock.now),
        adapters={Platform.TIKTOK: adapter},
    )
    for name in ("acc_1", "acc_2"):
        harness.publications(harness.account(name, Platform.TIKTOK), CALLS * BATCH)
    worker = build_worker(settings, context, CurrentJobs())
    worker.start()
    try:
        enqueue(broker(client), Lane.BACKGROUND, due_jobs(harness.engine))
        assert all(platform.began.acquire(timeout=30) for _ in range(2)), "every thread is lent or in use"
        (awaited,) = harness.publications(harness.account("acc_awaited", Platform.TIKTOK), priority=1)
        enqueue(broker(client), Lane.INTERACTIVE, due_jobs(harness.engine, Lane.INTERACTIVE))
        wait_until(lambda: waiting_in(worker) == 1, 30, "a job that waits")

        platform.may_end.release()
        assert platform.began.acquire(timeout=30)
        called = Counter(platform.called)
        platform.may_end.release(100)
        wait_until(lambda: harness.state(awaited).sync_status == SyncStatus.SYNCED, 30, "the row")
        wait_until(lambda: sorted(Counter(platform.called).values()) == [1, 1, CALLS], 30, "all calls")
    finally:
        platform.may_end.release(100)
        worker.stop()

    assert called == {"acc_1": 1, "acc_2": 1, "acc_awaited": 1}
    rest = harness.execute(
        "SELECT account_id, reason, attempts, next_run_at <= now() + interval '1 s' AS due"
        "  FROM refresh_state WHERE reason <> 'stale'"
    )
    assert [(row.reason, row.attempts, row.due) for row in rest] == [(Reason.PAUSED, 0, True)] * BATCH * (
        CALLS - 1
    )


def returned(lending: Lending, threads: int) -> int:
    """Run so many background jobs side by side; return how many of them have to end."""
    answers: list[bool] = []
    together, answered = threading.Barrier(threads), threading.Barrier(threads)

    def run() -> None:
        with lending.background():
            together.wait(30)
            answers.append(lending.must_return())
            answered.wait(30)
            assert lending.must_return() == lending.sleep(0.001), "the answer stands until the job ends"

    running = [threading.Thread(target=run) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return sum(answers)


@pytest.mark.parametrize(
    ("running", "waiting", "ends"), [(8, 0, 0), (8, 1, 1), (8, 2, 2), (8, 5, 2), (7, 5, 1), (6, 5, 0)]
)
def test_only_lent_threads_come_back_and_no_more_than_are_waited_for(
    running: int, waiting: int, ends: int
) -> None:
    assert returned(Lending(8, 2, lambda: waiting), running) == ends


def test_thread_without_a_background_job_is_not_lent() -> None:
    lending = Lending(1, 1, lambda: 9)
    began, may_end = threading.Event(), threading.Event()

    def run() -> None:
        with lending.background():
            began.set()
            may_end.wait(30)

    lent = threading.Thread(target=run)
    lent.start()
    assert began.wait(30)
    assert not lending.must_return()
    may_end.set()
    lent.join()

    lone = nothing_lent()
    with lone.background():
        assert not lone.must_return()


def test_job_that_has_ended_takes_no_thread() -> None:
    lending = Lending(2, 1, lambda: 9)
    assert returned(lending, 1) == 0

    with lending.background():
        assert not lending.must_return()


def test_only_jobs_that_somebody_waits_for_take_threads_back() -> None:
    fetched: queue.Queue[object] = queue.Queue()
    for lane in (Lane.BACKGROUND, Lane.INTERACTIVE, Lane.BACKGROUND):
        fetched.put(SimpleNamespace(message=SimpleNamespace(queue_name=lane.value)))

    assert waiting_in(cast("dramatiq.Worker", SimpleNamespace(work_queue=fetched))) == 1


def test_wait_for_a_budget_ends_when_the_thread_has_to_come_back() -> None:
    waiting = iter([0, 0])
    lending = Lending(1, 1, lambda: next(waiting, 1))
    with lending.background():
        assert lending.sleep(60)
    assert not lending.sleep(0)


def test_thread_that_came_back_is_lent_again() -> None:
    lending = Lending(1, 1, lambda: 1)
    for _ in range(2):
        with lending.background():
            assert lending.must_return()
        assert not lending.must_return()
