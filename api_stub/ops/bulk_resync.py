"""A re-sync of all rows of a filter: in the background, in steps after which anybody can go on."""

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Any, Final

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from api_stub.ops import queries
from api_stub.ops.filters import Filter
from shared.operations import audit_log
from shared.operations.audit_log import AuditEntry, Operator
from shared.refresh_state.make_due import make_due
from shared.vocabulary import Reason

STEP: Final = 500
"""Rows made due in one transaction."""
ROWS_A_SECOND: Final = 2_000.0
INTERACTIVE_UP_TO: Final = 1_000
"""Larger filters take the background lane, so that they never stand before somebody who waits."""
_TRIES: Final = 5
_TRY_AGAIN_SECONDS: Final = 2.0
_log = structlog.get_logger(__name__)


class Reruns:
    """The re-syncs that this process has been told to do, one after the other."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ops-resync")

    def begin(self, operator: Operator, wanted: Filter) -> int:
        """Keep the act, go on with it in the background, and return its id."""
        with self._engine.begin() as connection:
            counted = sum(queries.count(connection, wanted).values())
            act_id = audit_log.record(
                connection, operator, "resync", wanted.given or {"all": "all"}, ended=False
            )
        self._pool.submit(self._run, act_id, wanted, 0, 0, interactive=counted <= INTERACTIVE_UP_TO)
        return act_id

    def go_on(self, act: AuditEntry) -> None:
        """Go on with an act that was stopped half-way."""
        wanted = Filter.parse({name: str(value) for name, value in act.subject.items()})
        self._pool.submit(self._run, act.entry_id, wanted, act.last or 0, act.rows or 0, interactive=False)

    def stop(self) -> None:
        """End after the step under way; what is left is kept as not ended."""
        self._stopping.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def wait(self) -> None:
        """Return when everything that was begun so far has ended."""
        self._pool.submit(lambda: None).result()

    def _run(self, act_id: int, wanted: Filter, last: int, rows: int, *, interactive: bool) -> None:
        after: int | None = last
        while after is not None and not self._stopping.is_set():
            began = time.monotonic()
            step = self._step_or_give_up(act_id, wanted, after, rows, interactive=interactive)
            if step is None:
                return
            taken, after = step
            rows += taken
            self._stopping.wait(max(0.0, taken / ROWS_A_SECOND - (time.monotonic() - began)))

    def _step_or_give_up(
        self, act_id: int, wanted: Filter, after: int, rows: int, *, interactive: bool
    ) -> tuple[int, int | None] | None:
        for _ in range(_TRIES):
            try:
                return self._step(act_id, wanted, after, rows, interactive=interactive)
            except SQLAlchemyError as error:  # whatever it is: a step is one transaction, and can be repeated
                _log.warning("ops_resync_step_failed", act_id=act_id, detail=type(error).__name__)
                if self._stopping.wait(_TRY_AGAIN_SECONDS):
                    break
        return None

    def _step(
        self, act_id: int, wanted: Filter, after: int, rows: int, *, interactive: bool
    ) -> tuple[int, int | None]:
        with self._engine.begin() as connection:
            found, more = queries.step(connection, wanted, after=after, most=STEP)
            by_workspace = sorted(found, key=lambda row: row[1])
            for workspace_id, group in groupby(by_workspace, key=lambda row: row[1]):
                ids = [publication_id for publication_id, _ in group]
                make_due(connection, workspace_id, ids, Reason.MANUAL, interactive=interactive)
            last = found[-1][0] if found else after
            audit_log.record_progress(
                connection, act_id, rows=rows + len(found), last=more or last, ended=more is None
            )
        return len(found), more


def can_go_on(subject: Mapping[str, Any]) -> bool:
    """Return whether an act's subject is a filter of this page; one of a command holds lists."""
    return all(isinstance(value, str) for value in subject.values())
