"""What the suites share that adapters pass."""

from collections.abc import Iterator, Mapping

import pytest

pytest.register_assert_rewrite(
    "tests.worker.adapters.conformance", "tests.worker.adapters.harness", "tests.worker.adapters.any_answer"
)

from tests.worker.adapters.harness import HASTY, PATIENT  # noqa: E402 - after the line above, or it has no effect
from worker.http.client import Bounds, Client  # noqa: E402 - the same


@pytest.fixture(scope="session")
def clients() -> Iterator[Mapping[Bounds, Client]]:
    """Give a client for each of the suite's bounds; one for every test would take as long as the tests."""
    with Client(PATIENT) as patient, Client(HASTY) as hasty:
        yield {PATIENT: patient, HASTY: hasty}
