"""Runs named ticks at their intervals; a tick may ask to run again sooner."""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler

from shared.observability import metrics

THREADS = 3
"""For ticks that may take long; each uses one database connection at a time."""

URGENT_THREADS = 2
"""For urgent ticks alone, however many slow ones there are: after a start, all of them run."""

_SET_BACK_SECONDS = 1.0
"""A clock that falls further behind than by a correction of its rate was set back."""

Tick = Callable[[], timedelta | None]
"""One run of a tick; returns the delay until its next run when that should come before its interval ends."""

_log = structlog.get_logger(__name__)


class _Threads(ThreadPoolExecutor):  # type: ignore[misc]  # APScheduler publishes no types
    """Threads for ticks, which may be awaited after the shutdown."""

    def await_end(self) -> None:
        """Wait for the ticks that run."""
        self._pool.shutdown(wait=True)


class Schedule:
    """Ticks by name, each with its interval; every tick runs at once when the schedule starts.

    ``urgent``: the ticks that never wait for a thread that another tick has.
    """

    def __init__(
        self,
        ticks: Mapping[str, tuple[Tick, timedelta]],
        urgent: Collection[str] = frozenset(),
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._wall = wall
        self._ahead = self._clock_ahead()
        self._stopping = threading.Event()
        self._executors = {"default": _Threads(THREADS), "urgent": _Threads(URGENT_THREADS)}
        # In memory only: what is due is in PostgreSQL, and the next run makes up for one that was missed.
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors=self._executors,
            # Two: rows that are made due while a tick runs are handed out at once, by one more.
            job_defaults={"coalesce": True, "max_instances": 2, "misfire_grace_time": None},
        )
        for name, (tick, every) in ticks.items():
            self._scheduler.add_job(
                self._run,
                "interval",
                args=(name, tick),
                seconds=every.total_seconds(),
                next_run_time=datetime.now(UTC),
                id=name,
                executor="urgent" if name in urgent else "default",
            )

    def start(self) -> None:
        """Start all ticks."""
        self._scheduler.start()

    def stop(self) -> None:
        """Stop, and wait for the ticks that run; those that wait for a thread do not run any more."""
        self._stopping.set()
        # APScheduler itself would wait with its locks held, and a tick that asks for its next run needs them.
        self._scheduler.shutdown(wait=False)
        for threads in self._executors.values():
            threads.await_end()

    def follow_clock(self) -> None:
        """Run every tick at once after the clock was set back: APScheduler would wait for its instants."""
        before, self._ahead = self._ahead, self._clock_ahead()
        if before - self._ahead > _SET_BACK_SECONDS:
            _log.warning("clock_set_back", seconds=round(before - self._ahead))
            for job in self._scheduler.get_jobs():
                self.run_soon(job.id)

    def _clock_ahead(self) -> float:
        return self._wall() - time.monotonic()

    def run_soon(self, name: str, after: timedelta = timedelta()) -> None:
        """Bring a tick's next run forward to ``after`` this delay; it never moves back."""
        at = datetime.now(UTC) + after
        job = self._scheduler.get_job(name)
        if job is not None and job.next_run_time > at:
            with suppress(JobLookupError):  # the schedule has stopped meanwhile
                job.modify(next_run_time=at)

    def _run(self, name: str, tick: Tick) -> None:
        if self._stopping.is_set():
            return
        with metrics.TICK_SECONDS.labels(name).time():
            again_after = tick()
        metrics.TICK_ENDED_AT.labels(name).set_to_current_time()
        if again_after is not None:
            self.run_soon(name, again_after)
