"""Bulk re-syncs that the operators' page starts or resumes, run in the background of this process."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from api_stub.ops import queries
from api_stub.ops.filters import Filter
from shared.operations import bulk_resync
from shared.operations.audit_log import Operator
from shared.operations.bulk_resync import INTERACTIVE_UP_TO, Pace

ROWS_A_SECOND: Final = 2_000.0
_log = structlog.get_logger(__name__)


class BackgroundResyncs:
    """The bulk re-syncs that this process runs, one after the other."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._stopping = threading.Event()
        self.running: set[int] = set()
        """The audit entries that this process is running, or will run."""
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ops-resync")

    def begin(self, operator: Operator, wanted: Filter) -> int:
        """Record a re-sync, run it in the background, and return its id in the audit log."""
        with self._engine.begin() as connection:
            counted = sum(queries.count(connection, wanted).values())
            entry_id = bulk_resync.begin(connection, operator, wanted.selection)
        self.running.add(entry_id)
        self._pool.submit(self._run, entry_id, interactive=counted <= INTERACTIVE_UP_TO)
        return entry_id

    def resume(self, entry_id: int) -> None:
        """Run the rest of a recorded re-sync in the background."""
        self.running.add(entry_id)
        self._pool.submit(self._run, entry_id, interactive=False)

    def stop(self) -> None:
        """Stop after the step under way; the audit log shows the rest as not ended."""
        self._stopping.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def wait(self) -> None:
        """Return when everything that was begun so far has ended."""
        self._pool.submit(lambda: None).result()

    def _run(self, entry_id: int, *, interactive: bool) -> None:
        pace = Pace(ROWS_A_SECOND, sleep=self._stopping.wait)
        try:
            for _ in bulk_resync.run(self._engine, entry_id, pace, interactive=interactive):
                if self._stopping.is_set():
                    return
        except SQLAlchemyError as error:
            _log.error("bulk_resync_stopped", entry_id=entry_id, detail=type(error).__name__)
        finally:
            self.running.discard(entry_id)
