"""Refused metrics: left out by the whole fleet, probed by one job, deleted when the probe succeeds."""

from datetime import timedelta

from sqlalchemy import text

from shared.vocabulary import Platform
from tests.harness import Harness
from worker.adapters.refused_metrics import REMEMBERED_FOR, RefusedMetricMemory


def memory(harness: Harness, platform: Platform = Platform.INSTAGRAM) -> RefusedMetricMemory:
    return RefusedMetricMemory(harness.engine, platform)


def expire(harness: Harness) -> None:
    harness.execute("UPDATE refused_metrics SET probe_after = now() - interval '1 second'")


def test_refused_metric_is_left_out_by_every_job(harness: Harness) -> None:
    memory(harness).remember("v25.0", "REELS", "saved")

    assert memory(harness).refused("v25.0", "REELS") == {"saved"}
    assert memory(harness).refused("v26.0", "REELS") == frozenset()
    assert memory(harness).refused("v25.0", "STORY") == frozenset()
    assert memory(harness, Platform.FACEBOOK).refused("v25.0", "REELS") == frozenset()


def test_expired_entry_is_probed_by_one_job(harness: Harness) -> None:
    memory(harness).remember("v25.0", "REELS", "saved")
    expire(harness)

    assert memory(harness).refused("v25.0", "REELS") == frozenset()
    assert memory(harness).refused("v25.0", "REELS") == {"saved"}, "the others go on without it meanwhile"


def test_entry_that_another_job_is_about_to_probe_is_left_out_without_waiting(harness: Harness) -> None:
    memory(harness).remember("v25.0", "REELS", "saved")
    expire(harness)

    with harness.engine.begin() as other:
        other.execute(text("SELECT FROM refused_metrics FOR UPDATE"))
        assert memory(harness).refused("v25.0", "REELS") == {"saved"}


def test_successful_probe_restores_the_metric_for_every_job(harness: Harness) -> None:
    memory(harness).remember("v25.0", "REELS", "saved")
    expire(harness)
    canary = memory(harness)
    canary.refused("v25.0", "REELS")
    memory(harness).forget("v25.0", "REELS", "saved")
    assert memory(harness).refused("v25.0", "REELS") == {"saved"}, "only the canary may say so"

    canary.forget("v25.0", "REELS", "saved")

    assert memory(harness).refused("v25.0", "REELS") == frozenset()


def test_probe_that_is_refused_again_begins_another_day(harness: Harness) -> None:
    memory(harness).remember("v25.0", "REELS", "saved")
    expire(harness)
    canary = memory(harness)
    canary.refused("v25.0", "REELS")

    canary.remember("v25.0", "REELS", "saved")

    ((left,),) = harness.execute("SELECT probe_after - now() FROM refused_metrics")
    assert REMEMBERED_FOR - timedelta(minutes=1) < left <= REMEMBERED_FOR == timedelta(hours=24)
