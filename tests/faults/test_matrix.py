"""The short matrix: every short fault once, in one environment for each test process."""

from collections.abc import Iterator

import pytest

from tests.faults.faults.catalogue import FAULTS
from tests.faults.harness.environment import NOISE_BESIDE_TESTS, SHORT_TICK
from tests.faults.harness.environments import Environments
from tests.faults.matrix import Fault

SEED = 5
# The round with a Sentinel has an environment of its own: last, so that the others share one.
SHORT = sorted((fault for fault in FAULTS if fault.short), key=lambda fault: fault.sentinel)


@pytest.fixture(scope="module")
def environments() -> Iterator[Environments]:
    with Environments(SEED, SHORT_TICK, NOISE_BESIDE_TESTS, forked=True) as opened:
        yield opened


@pytest.mark.parametrize("fault", SHORT, ids=[fault.name for fault in SHORT])
def test_fault_breaks_no_invariant(fault: Fault, environments: Environments) -> None:
    assert environments.run_round(fault, SEED).breaches == ()
