"""The short matrix: every fault that fits, once, on one stage for each test process."""

from collections.abc import Iterator

import pytest

from tests.faults.faults.catalogue import FAULTS
from tests.faults.harness.environment import SHORT_TICK
from tests.faults.harness.environments import Theatre
from tests.faults.matrix import Fault

SEED = 5
# A Sentinel's round has a stage of its own: last, so that the others need only one.
SHORT = sorted((fault for fault in FAULTS if fault.short), key=lambda fault: fault.sentinel)


@pytest.fixture(scope="module")
def theatre() -> Iterator[Theatre]:
    with Theatre(SEED, SHORT_TICK) as opened:
        yield opened


@pytest.mark.parametrize("fault", SHORT, ids=[fault.name for fault in SHORT])
def test_nothing_lost_nothing_overwritten(fault: Fault, theatre: Theatre) -> None:
    assert theatre.play(fault, SEED).breaches == ()
