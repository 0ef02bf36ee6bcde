"""A worker reports the jobs under way, and operators read what each worker reported."""

import threading
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from shared.redis_client import RedisClient
from shared.refresh_queue import RefreshJob, report_details, worker_details
from worker.queue import current_jobs
from worker.queue.current_jobs import CurrentJobs


def test_job_is_reported_while_it_runs(client: RedisClient) -> None:
    jobs = CurrentJobs()
    with jobs.running(RefreshJob("acc_1", ((1, 1), (2, 5)))):
        report_details(client, "host:1", jobs.report(8))

    details = worker_details(client, ["host:1", "host:2"])

    assert details["host:1"]["threads"] == 8
    assert [(job["account_id"], job["publications"]) for job in details["host:1"]["jobs"]] == [("acc_1", 2)]
    assert set(details) == {"host:1"}
    assert jobs.report(8)["jobs"] == []


def test_malformed_details_are_left_out(client: RedisClient) -> None:
    client.set("dravo:worker:host:1", "{")
    client.set("dravo:worker:host:2", "[]")

    assert worker_details(client, ["host:1", "host:2"]) == {}
    assert worker_details(client, []) == {}


def test_jobs_of_all_threads_are_reported_the_longest_running_first(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(at=1_000.0, thread=0)
    threads = SimpleNamespace(get_ident=lambda: clock.thread, Lock=threading.Lock)
    monkeypatch.setattr(current_jobs, "time", SimpleNamespace(monotonic=lambda: clock.at))
    monkeypatch.setattr(current_jobs, "threading", threads)
    jobs = CurrentJobs()
    with ExitStack() as running:
        for clock.thread, (account_id, clock.at) in enumerate((("acc_z", 1_000.0), ("acc_a", 1_007.16))):
            running.enter_context(jobs.running(RefreshJob(account_id, ((1, 1),))))
        clock.at = 1_010.0
        reported = [(job["account_id"], job["seconds"]) for job in jobs.report(8)["jobs"]]

    assert reported == [("acc_z", 10.0), ("acc_a", 2.8)]
