"""Runs the refreshes of a harness, claim by claim."""

from datetime import timedelta

from prometheus_client import REGISTRY

from shared.refresh_queue import RefreshJob
from shared.refresh_state.claim import claim
from shared.vocabulary import Lane, Platform
from tests.harness import Harness
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


def fenced_writes(platform: Platform = Platform.INSTAGRAM) -> float:
    label = {"platform": platform.value}
    return REGISTRY.get_sample_value("dravo_fenced_writes_total", label) or 0.0
