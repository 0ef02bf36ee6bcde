"""Runs retention in the background: a step at a time, at most one month of history an hour."""

import time
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import ProgrammingError

from scheduler.outages import outages_logged
from shared.observability import metrics
from shared.retention.overdue import overdue
from shared.retention.policy import Retention
from shared.retention.run import Done, Run, WaitingError, may_run, rest_after

RETAIN_EVERY: Final = timedelta(hours=1)
"""How often a run begins; its steps follow one another."""
_log = structlog.get_logger(__name__)


class RetentionTick:
    """The tick that does one step of retention; without `DRAVO_RETENTION` it removes nothing.

    A scheduler whose database user does not own the tables only measures: the owner runs
    `dravo retention run`.
    """

    def __init__(self, engine: Engine, policy: Retention) -> None:
        self._engine = engine
        self._policy = policy
        self._run: Run | None = None
        self._logged_that_owner_runs_it = False

    def run(self) -> timedelta | None:
        """Do one step; return how long to rest before the next one of this run, if there is one."""
        if not self._policy.enabled:
            return None
        began = time.monotonic()
        done: Done | None = None
        with outages_logged():
            try:
                run = self._run or self._begin()
                done = run.step() if run is not None else None
            except WaitingError as error:
                _log.info("retention_waits", detail=str(error))
            except ProgrammingError as error:  # a table was dropped, or this user may not read one
                _log.error("retention_step_failed", detail=str(error.orig).partition("\n")[0])
        self._run = run if done is not None and done.again else None
        if done is None:
            return None
        _log.info("retention_step", what=done.what, subject=done.subject, rows=done.rows)
        return rest_after(time.monotonic() - began) if done.again else None

    def _begin(self) -> Run | None:
        """Measure; return a run, if this user may remove anything."""
        with self._engine.connect() as connection:
            self._measure(connection)
            if may_run(connection):
                return Run(self._engine, self._policy)
        if not self._logged_that_owner_runs_it:
            _log.info("retention_left_to_owner", detail="the owner of the tables runs `dravo retention run`")
        self._logged_that_owner_runs_it = True
        return None

    def _measure(self, connection: Connection) -> None:
        late: dict[tuple[str, str], float] = {}
        for one in overdue(connection, self._policy):
            labels = (one.kind.value, one.group.value if one.group else "all")
            late[labels] = max(late.get(labels, 0.0), one.late.total_seconds())
        metrics.RETENTION_BEHIND.clear()
        for labels, seconds in late.items():
            metrics.RETENTION_BEHIND.labels(*labels).set(seconds)
