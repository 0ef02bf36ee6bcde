"""Runs retention in the background: a step at a time, at most one month of history an hour."""

import time
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import ProgrammingError

from scheduler.outages import outages_logged
from shared.observability import metrics
from shared.retention.overdue import overdue
from shared.retention.policy import Retention
from shared.retention.run import Done, WaitingError, step

RETAIN_EVERY: Final = timedelta(hours=1)
"""How often a run begins; its steps follow one another."""
_RESTS: Final = 2.0  # times as long as a step took: a third of one connection's time is used
_log = structlog.get_logger(__name__)


class RetentionTick:
    """The tick that does one step of retention; without `DRAVO_RETENTION` it removes nothing."""

    def __init__(self, engine: Engine, policy: Retention) -> None:
        self._engine = engine
        self._policy = policy
        self._in_run = False

    def run(self) -> timedelta | None:
        """Do one step; return how long to rest before the next one of this run, if there is one."""
        if not self._policy.enabled:
            return None
        began = time.monotonic()
        done: Done | None = None
        with outages_logged():
            try:
                if not self._in_run:
                    self._measure()
                done = step(self._engine, self._policy)
            except WaitingError as error:
                _log.info("retention_waits", detail=str(error))
            except ProgrammingError as error:  # only the owner of a table may detach a partition
                _log.error("retention_step_failed", detail=str(error.orig).partition("\n")[0])
        self._in_run = done is not None and done.again
        if done is None:
            return None
        _log.info("retention_step", what=done.what, subject=done.subject, rows=done.rows)
        return timedelta(seconds=(time.monotonic() - began) * _RESTS) if done.again else None

    def _measure(self) -> None:
        with self._engine.connect() as connection:
            late: dict[tuple[str, str], float] = {}
            for one in overdue(connection, self._policy):
                labels = (one.kind.value, one.group.value if one.group else "all")
                late[labels] = max(late.get(labels, 0.0), one.late.total_seconds())
        metrics.RETENTION_BEHIND.clear()
        for labels, seconds in late.items():
            metrics.RETENTION_BEHIND.labels(*labels).set(seconds)
