"""Refused metrics: left out by the whole fleet, probed by one reader, forgotten when the probe succeeds."""

from shared.vocabulary import Platform
from tests.scenarios import House
from worker.refused_metrics import FleetMemory


def memory(home: House, platform: Platform = Platform.INSTAGRAM) -> FleetMemory:
    return FleetMemory(home.engine, platform)


def expire(home: House) -> None:
    home.execute("UPDATE refused_metrics SET probe_after = now() - interval '1 second'")


def test_what_one_job_was_refused_every_job_leaves_out(home: House) -> None:
    memory(home).remember("v25.0", "REELS", "saved")

    assert memory(home).refused("v25.0", "REELS") == {"saved"}
    assert memory(home).refused("v26.0", "REELS") == frozenset()
    assert memory(home).refused("v25.0", "STORY") == frozenset()
    assert memory(home, Platform.FACEBOOK).refused("v25.0", "REELS") == frozenset()


def test_an_expired_memory_is_probed_by_one_reader(home: House) -> None:
    memory(home).remember("v25.0", "REELS", "saved")
    expire(home)

    assert memory(home).refused("v25.0", "REELS") == frozenset()
    assert memory(home).refused("v25.0", "REELS") == {"saved"}, "the others go on without it meanwhile"


def test_a_probe_that_got_its_number_brings_the_metric_back_everywhere(home: House) -> None:
    memory(home).remember("v25.0", "REELS", "saved")
    expire(home)
    canary = memory(home)
    canary.refused("v25.0", "REELS")
    memory(home).forget("v25.0", "REELS", "saved")
    assert memory(home).refused("v25.0", "REELS") == {"saved"}, "only the canary may say so"

    canary.forget("v25.0", "REELS", "saved")

    assert memory(home).refused("v25.0", "REELS") == frozenset()
