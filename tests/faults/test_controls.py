"""Tests of the tests: with a safeguard taken away, the same rounds must break what it guards."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.faults.freeze import frozen_past_its_lease
from tests.faults.faults.kill import dies_at
from tests.faults.faults.redis import down_while_jobs_fail
from tests.faults.harness.environment import stage
from tests.faults.matrix import Fault, Result, Scene, play
from tests.servers import fast_parent, server_directory

SEED = 9
NO_LEASE = {"DRAVO_LEASE_SECONDS": "3600"}


@pytest.fixture
def directory() -> Iterator[Path]:
    with server_directory(fast_parent()) as made:
        yield made


def broken(result: Result, invariant: str) -> bool:
    return any(breach.startswith(f"{invariant}:") for breach in result.breaches)


def calm(_scene: Scene) -> None:
    """Break nothing."""


def test_without_the_fence_a_stale_worker_overwrites_newer_numbers(directory: Path) -> None:
    act = frozen_past_its_lease("fetched", "tests.faults.harness.broken_worker", BROKEN="fence")
    with stage(directory, seed=SEED) as set_up:
        result = play(set_up, Fault("frozen", act), SEED)

    assert broken(result, "I2")


def test_without_a_lease_a_killed_worker_s_rows_are_lost(directory: Path) -> None:
    with stage(directory, seed=SEED, environment=NO_LEASE) as set_up:
        before = play(set_up, Fault("calm", calm), SEED)
        result = play(set_up, Fault("killed", dies_at("worker", "started")), SEED)

    assert before.breaches == ()
    assert broken(result, "I1")


def test_retries_left_to_dramatiq_are_lost_with_redis(directory: Path) -> None:
    retrying = {"BROKEN": "retries", **NO_LEASE}
    with stage(
        directory, seed=SEED, worker_module="tests.faults.harness.broken_worker", environment=retrying
    ) as set_up:
        before = play(set_up, Fault("calm", calm), SEED)
        result = play(set_up, Fault("Redis down", down_while_jobs_fail), SEED)

    assert not broken(before, "I1")
    assert broken(result, "I1")
