"""A worker reports the jobs under way, and operators read what each worker reported."""

from shared.redis_client import RedisClient
from shared.refresh_queue import RefreshJob, report_details, worker_details
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
