"""The wait after so many attempts."""

from datetime import timedelta

import pytest

from tests.worker.outcomes.table import (
    HOUR,
    SECOND,
)
from worker.outcomes.backoff import backoff


@pytest.mark.parametrize(
    ("attempts", "wait"), [(0, 15 * SECOND), (1, 15 * SECOND), (5, HOUR), (10**6, 6 * HOUR)]
)
def test_backoff_is_bounded(attempts: int, wait: timedelta) -> None:
    assert backoff(attempts, 15 * SECOND) == 1.2 * wait


def test_backoff_of_failed_row_doubles_six_times_at_most() -> None:
    paces = [backoff(attempts, SECOND) for attempts in (10, 11, 12)]

    assert paces == [1.2 * pace * SECOND for pace in (240 * 32, 240 * 64, 240 * 64)]
