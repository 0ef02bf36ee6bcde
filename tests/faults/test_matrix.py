"""The short matrix: every fault that fits, once, on one stage for each test process."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.faults.catalogue import FAULTS
from tests.faults.matrix import Fault, Result, play
from tests.faults.stage import Stage, stage
from tests.servers import fast_parent, server_directory

SEED = 5
SHORT = [fault for fault in FAULTS if fault.short]


class Theatre:
    """Keeps a stage from round to round; after one that went wrong it sets a new one."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._stage: Stage | None = None

    def play(self, fault: Fault) -> Result:
        """Play one round."""
        if self._stage is None:
            self._stack.close()
            directory = self._stack.enter_context(server_directory(fast_parent()))
            self._stage = self._stack.enter_context(stage(directory, seed=SEED))
        playing, self._stage = self._stage, None
        result = play(playing, fault, SEED)
        if not result.breaches:
            self._stage = playing
        return result


@pytest.fixture(scope="module")
def theatre() -> Iterator[Theatre]:
    with ExitStack() as stack:
        yield Theatre(stack)


@pytest.mark.parametrize("fault", SHORT, ids=[fault.name for fault in SHORT])
def test_nothing_lost_nothing_overwritten(fault: Fault, theatre: Theatre) -> None:
    assert theatre.play(fault).breaches == ()
