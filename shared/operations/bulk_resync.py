"""A manual re-sync of many publications: one loop for the command line and the operators' page.

The audit log stores what was selected and the last publication that was processed. Each step is one
transaction that locks the entry, continues after that publication, makes the next rows due and stores how far
it came. So anyone can resume a re-sync that was stopped, from the page or the command line, and two processes
that run the same one share the work.
"""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Final

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from shared.operations import audit_log
from shared.operations.audit_log import AuditEntry, Operator
from shared.operations.selection import Selection, next_rows
from shared.refresh_state.make_due import make_due
from shared.vocabulary import Reason

STEP: Final = 500
"""Rows made due in one transaction."""
INTERACTIVE_UP_TO: Final = 1_000
"""Larger selections use the background lane, so that they do not delay interactive refreshes."""
_ATTEMPTS: Final = 5
_RETRY_SECONDS: Final = 2.0
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of a re-sync did."""

    rows: int
    """Selected rows that it processed."""
    requested: dict[int, datetime]
    """Those that can be refreshed, each with the instant of the request."""
    made_due: int
    """Those of them that were not due already."""
    last: int
    """The last publication that was processed."""
    is_last: bool
    """Whether no selected row is left."""


@dataclass(slots=True)
class Pace:
    """An upper bound on rows a second; ``rate=None``: as fast as rows can be written."""

    rate: float | None
    sleep: Callable[[float], object] = lambda seconds: time.sleep(seconds)
    _since: float | None = field(default=None, init=False)
    _rows: int = field(default=0, init=False)

    @property
    def step(self) -> int:
        """Rows of one step: about a quarter of a second's worth."""
        return STEP if self.rate is None else max(1, min(STEP, int(self.rate / 4)))

    def spend(self, rows: int) -> None:
        """Sleep until so many more rows are within the rate."""
        if self._since is None:
            self._since = time.monotonic()
        self._rows += rows
        if self.rate is not None:
            ahead = self._rows / self.rate - (time.monotonic() - self._since)
            if ahead > 0:
                self.sleep(ahead)


def begin(connection: Connection, operator: Operator, selection: Selection, *, after: int = 0) -> int:
    """Record a new re-sync of the selected publications with ids above ``after``; return the entry's id."""
    entry_id = audit_log.record(connection, operator, "resync", selection.to_audit(), ended=False)
    if after:
        audit_log.record_progress(connection, entry_id, rows=0, last=after)
    return entry_id


def unfinished_selection(entry: AuditEntry | None) -> Selection | None:
    """Return what a stopped re-sync selects; ``None`` if the entry is not one that `run` can resume."""
    if entry is None or entry.action != "resync" or entry.ended_at is not None:
        return None
    try:
        return Selection.from_audit(entry.subject)
    except ValueError:  # an older version recorded options of the command line
        return None


def run(engine: Engine, entry_id: int, pace: Pace, *, interactive: bool) -> Generator[Step]:
    """Make the entry's remaining rows due at the given pace, and yield each step once it is committed.

    A step that fails is repeated a few times. Raises the last `sqlalchemy.exc.SQLAlchemyError`; the re-sync
    can then be resumed.
    """
    while (step := _step_with_retries(engine, entry_id, pace, interactive=interactive)) is not None:
        yield step
        if step.is_last:
            return
        pace.spend(step.rows)


def _step_with_retries(engine: Engine, entry_id: int, pace: Pace, *, interactive: bool) -> Step | None:
    for left in reversed(range(_ATTEMPTS)):
        try:
            with engine.begin() as connection:
                return _step(connection, entry_id, pace.step, interactive=interactive)
        except SQLAlchemyError as error:  # whatever it is: a step is one transaction and can be repeated
            _log.warning("bulk_resync_step_failed", entry_id=entry_id, detail=type(error).__name__)
            if not left:
                raise
            pace.sleep(_RETRY_SECONDS)
    raise AssertionError("the last attempt either returned or raised")


def _step(connection: Connection, entry_id: int, most: int, *, interactive: bool) -> Step | None:
    entry = audit_log.entry(connection, entry_id, lock=True)
    selection = unfinished_selection(entry)
    if entry is None or selection is None:
        return None
    after = entry.last or 0
    rows, next_after = next_rows(connection, selection, after=after, most=most)
    refreshable = sorted((row for row in rows if row.refreshable), key=lambda row: row.workspace_id)
    made_due = 0
    for workspace_id, group in groupby(refreshable, key=lambda row: str(row.workspace_id)):
        ids = [row.id for row in group]
        made_due += make_due(connection, workspace_id, ids, Reason.MANUAL, interactive=interactive)
    last = next_after or (rows[-1].id if rows else after)
    processed = (entry.rows or 0) + len(rows)
    audit_log.record_progress(connection, entry_id, rows=processed, last=last, ended=next_after is None)
    requested = {row.id: row.requested_at for row in refreshable}
    return Step(len(rows), requested, made_due, last, is_last=next_after is None)
