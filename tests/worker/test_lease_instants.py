"""When a running job extends its lease: after a third of it, and never so late that a call outlives it."""

from datetime import timedelta

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from shared.settings import Settings
from worker.__main__ import _bounds
from worker.errors import TryAgain
from worker.http.client import Bounds
from worker.lease import Lease


class Job:
    """A job with a lease, on a clock that the test sets."""

    def __init__(self, lease: float = 60) -> None:
        self.now = 1_000.0
        self.extended: list[float] = []
        self.extending = 0.0
        self.trouble: Exception | None = None
        self.has_readings = False
        self.lease = Lease(
            timedelta(seconds=lease),
            self._extend,
            lambda: self.has_readings,
            lambda: self.now,
            began=self.now,
        )

    def _extend(self) -> None:
        if self.trouble:
            raise self.trouble
        self.extended.append(self.now)
        self.now += self.extending

    def keep_at(self, second: float) -> None:
        """Keep the lease at so many seconds after it began."""
        self.now = 1_000.0 + second
        self.lease.keep()


def test_lease_is_extended_from_each_third_of_it_on() -> None:
    job = Job()
    for second in (0, 19.9, 20, 39.9, 40, 41, 59.9, 75, 94.9):
        job.keep_at(second)

    assert job.extended == [1_020, 1_040, 1_075]


def test_lease_counts_from_before_the_statement_that_extends_it() -> None:
    job = Job()
    job.extending = 5
    for second in (20, 39.9, 40):
        job.keep_at(second)

    assert job.extended == [1_020, 1_040], "or it could end in the database before the job notices"


def test_readings_are_recorded_between_slow_calls() -> None:
    job = Job()
    job.keep_at(1)
    job.has_readings = True
    for second in (1.9, 2, 3.9, 4):
        job.keep_at(second)
    job.has_readings = False
    job.keep_at(10)

    assert job.extended == [1_002, 1_004]


def test_readings_wait_no_longer_than_a_third_of_a_short_lease() -> None:
    job = Job(lease=3)
    job.has_readings = True
    job.keep_at(0.9)
    job.keep_at(1)

    assert job.extended == [1_001]


AWAY = (OperationalError("UPDATE", {}, Exception("away")), PoolTimeoutError("no connection is free"))


@pytest.mark.parametrize("trouble", AWAY)
def test_database_that_is_away_is_asked_again_before_the_next_call(trouble: Exception) -> None:
    job = Job()
    job.trouble = trouble
    job.keep_at(20)
    job.keep_at(30)
    job.trouble = None
    job.keep_at(30.5)

    assert job.extended == [1_030.5]


def test_job_gives_up_when_a_call_could_end_after_its_lease() -> None:
    job = Job()
    job.trouble = AWAY[0]
    job.keep_at(30)

    with pytest.raises(TryAgain, match="database"):
        job.keep_at(30.1)


@pytest.mark.parametrize(
    ("lease", "connect", "read", "whole"), [(120, 5, 15, 30), (60, 5, 15, 30), (24, 5, 12, 12), (8, 4, 4, 4)]
)
def test_call_may_take_half_a_lease_and_never_more_than_half_a_minute(
    lease: int, connect: int, read: int, whole: int
) -> None:
    bounds = _bounds(Settings(lease_seconds=lease))

    limits = (bounds.connect, bounds.read, bounds.whole)
    assert limits == tuple(timedelta(seconds=one) for one in (connect, read, whole))
    assert bounds.body_bytes == 4 * 1024 * 1024
    assert Bounds() == _bounds(Settings()), "an account's check has the bounds of a worker"
