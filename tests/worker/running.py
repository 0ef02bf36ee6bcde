"""Runs the refreshes of a harness, claim by claim."""

import time

from prometheus_client import REGISTRY

from shared.refresh_queue import RefreshJob
from shared.vocabulary import Platform
from tests.claiming import due_jobs
from tests.harness import Harness
from worker.refresh import refresh


def claims(harness: Harness) -> tuple[RefreshJob, ...]:
    harness.execute("UPDATE refresh_state SET next_run_at = now() WHERE next_run_at IS NOT NULL")
    return due_jobs(harness.engine)


def run(harness: Harness, times: int = 1) -> None:
    for _ in range(times):
        for job in claims(harness):
            refresh(job, harness.context)


def snapshots(harness: Harness) -> list[tuple[dict[str, int], int]]:
    return [(row.metrics, row.reads) for row in harness.execute("SELECT * FROM snapshots ORDER BY taken_at")]


def fenced_writes(platform: Platform = Platform.INSTAGRAM) -> float:
    label = {"platform": platform.value}
    return REGISTRY.get_sample_value("dravo_fenced_writes_total", label) or 0.0


def await_lock(harness: Harness) -> None:
    """Wait until some session of the database waits for a lock."""
    waiting = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    deadline = time.monotonic() + 30
    while harness.execute(waiting) == [(0,)]:
        assert time.monotonic() < deadline, "nobody waits for a lock"
