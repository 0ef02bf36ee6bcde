"""Controls: without a safeguard, the same rounds must break the invariant that it protects."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.faults.freeze import frozen_past_its_lease
from tests.faults.faults.kill import killed_at
from tests.faults.faults.redis import down_while_jobs_fail
from tests.faults.harness.environment import open_environment
from tests.faults.matrix import Fault, Result, RoundContext, run_round
from tests.servers import fast_parent, server_directory

SEED = 9
NO_LEASE = {"DRAVO_LEASE_SECONDS": "3600"}


@pytest.fixture
def directory() -> Iterator[Path]:
    with server_directory(fast_parent()) as made:
        yield made


def broken(result: Result, invariant: str) -> bool:
    return any(breach.startswith(f"{invariant}:") for breach in result.breaches)


def calm(_context: RoundContext) -> None:
    """Inject no fault."""


def test_stale_worker_overwrites_newer_metrics_without_the_fencing_token(directory: Path) -> None:
    inject = frozen_past_its_lease("fetched", "tests.faults.variants.broken_worker", BROKEN="fence")
    with open_environment(directory, seed=SEED, workers=1, forked=True) as environment:
        result = run_round(environment, Fault("frozen", inject), SEED)

    assert broken(result, "I2")


def test_rows_of_a_killed_worker_are_lost_without_a_lease(directory: Path) -> None:
    with open_environment(directory, seed=SEED, workers=1, forked=True, settings=NO_LEASE) as environment:
        before = run_round(environment, Fault("calm", calm), SEED)
        result = run_round(environment, Fault("killed", killed_at("worker", "started")), SEED)

    assert before.breaches == ()
    assert broken(result, "I1")


def test_retries_of_dramatiq_are_lost_with_redis(directory: Path) -> None:
    retrying = {"BROKEN": "retries", **NO_LEASE}
    with open_environment(
        directory,
        seed=SEED,
        workers=1,
        forked=True,
        worker_module="tests.faults.variants.broken_worker",
        settings=retrying,
    ) as environment:
        before = run_round(environment, Fault("calm", calm), SEED)
        result = run_round(environment, Fault("Redis down", down_while_jobs_fail), SEED)

    assert not broken(before, "I1")
    assert broken(result, "I1")
