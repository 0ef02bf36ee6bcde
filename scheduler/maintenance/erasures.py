"""Runs the erasures that were requested, a step at a time, so that refreshes go on beside them."""

import time
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import ProgrammingError

from scheduler.outages import outages_logged
from shared.erasure.ledger import Ledger, LedgerError
from shared.erasure.places.log_files import LogFiles, LogFilesError
from shared.erasure.run import Done, step
from shared.redis_client import RedisClient

ERASE_EVERY: Final = timedelta(seconds=5)
"""How often open erasures are looked up; while there is one, its steps follow one another."""
RESTS: Final = 11.0
"""How long a rest lasts after each step, as a multiple of it: a twelfth of one connection's time is used."""
_LONGEST_REST: Final = timedelta(seconds=5)
_log = structlog.get_logger(__name__)


class Erasures:
    """The tick that does one step of an erasure."""

    def __init__(
        self, engine: Engine, client: RedisClient, ledger: Ledger | None, logs: LogFiles | None = None
    ) -> None:
        self._engine = engine
        self._client = client
        self._ledger = ledger
        self._logs = logs

    def run(self) -> timedelta | None:
        """Do one step; return how long to rest before the next, ``None`` when there is nothing to do."""
        began = time.monotonic()
        done = None
        with outages_logged():
            try:
                done = step(self._engine, self._client, self._ledger, self._logs)
            except LedgerError as error:
                _log.error("erasure_ledger_failed", detail=str(error))
            except LogFilesError as error:
                _log.error("erasure_logs_failed", detail=str(error))
            except ProgrammingError as error:  # the database's user may not delete, or a table was dropped
                _log.error("erasure_step_failed", detail=str(error.orig).partition("\n")[0])
        if done is None:
            return None
        _report(done)
        return min(timedelta(seconds=(time.monotonic() - began) * RESTS), _LONGEST_REST)


def _report(done: Done) -> None:
    if done.left_over:
        _log.warning("erasure_incomplete", code=done.code, found=done.left_over)
    if done.phase == "ended":
        _log.info("erasure_ended", code=done.code, rows=done.deleted)
        if done.unclassified:
            _log.error("erasure_tables_unclassified", tables=done.unclassified)
