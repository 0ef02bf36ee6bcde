"""The run of a re-sync: makes rows due in small steps at a limited rate, and waits for their outcomes.

Only the ids of the current step and of rows without an outcome are in memory: a million rows are a stream.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Engine, Row, text

from deploy.resync.estimate import ASKABLE, TABLES
from deploy.resync.selection import Selection
from shared.outcome_kinds import Verdict, outcome_kind
from shared.refresh_state.make_due import make_due
from shared.vocabulary import Reason

STEP = 500
"""Rows made due in one transaction."""
MAX_WAITING = 2_000
"""Rows waited for at a time with ``--wait``: no more are made due before some of them have an outcome."""
INTERACTIVE_UP_TO = 1_000
"""Larger selections take the background lane, so that they do not delay interactive refreshes."""
_POLL_SECONDS = 0.1
_MAX_POLL_SECONDS = 2.0

_STEP = f"""
SELECT p.id, p.workspace_id, {ASKABLE} AS askable {TABLES}
 WHERE {{where}} AND p.id > :last ORDER BY p.id LIMIT :step
"""
_OUTCOMES = """
SELECT w.id, r.publication_id IS NULL AS deleted,
       CASE WHEN r.reason = 'blocked' THEN 'requires_reconnect'
            WHEN pa.attempted_at >= w.asked_at AND r.claimed_at IS NULL THEN pa.outcome END AS outcome
  FROM unnest(CAST(:ids AS bigint[]), CAST(:asked_ats AS timestamptz[])) AS w (id, asked_at)
  LEFT JOIN refresh_state r ON r.publication_id = w.id
  LEFT JOIN post_analytics pa ON pa.publication_id = w.id
"""


@dataclass(slots=True)
class Tally:
    """The progress of a re-sync."""

    seen: int = 0
    """Rows processed."""
    made_due: int = 0
    """Rows made due that were neither due nor claimed for a re-sync before."""
    synced: int = 0
    failed: int = 0
    postponed: int = 0
    """Rows that the platform answered for and a later refresh decides: missing once, or no public id yet."""
    last: int = 0
    """Id of the last publication processed: a stopped run continues after it."""


@dataclass(slots=True)
class Pace:
    """A rate limit in rows a second; ``None``: as fast as they can be written."""

    rate: float | None
    _since: float | None = None
    _rows: int = 0

    @property
    def step(self) -> int:
        """Rows of one step: those of about a quarter of a second."""
        return STEP if self.rate is None else max(1, min(STEP, int(self.rate / 4)))

    def spend(self, rows: int) -> None:
        """Count these rows, and sleep until they are within the rate."""
        if self._since is None:
            self._since = time.monotonic()
        self._rows += rows
        if self.rate is not None:
            ahead = self._rows / self.rate - (time.monotonic() - self._since)
            if ahead > 0:
                time.sleep(ahead)


def start_resync(
    engine: Engine,
    selection: Selection,
    tally: Tally,
    pace: Pace,
    *,
    interactive: bool,
    on_progress: Callable[[], None],
) -> None:
    """Make all selected rows due at the given pace, without waiting for their outcomes."""
    for rows in _steps(engine, selection, pace):
        _make_due(engine, rows, tally, interactive=interactive)
        on_progress()
        pace.spend(len(rows))


def resync_and_wait(
    engine: Engine,
    selection: Selection,
    tally: Tally,
    pace: Pace,
    *,
    interactive: bool,
    until: float | None,
    on_progress: Callable[[], None],
) -> int:
    """Make all selected rows due and wait for each one's outcome; return how many have none yet.

    ``until``: instant of the monotonic clock at which waiting ends.
    """
    waiting: dict[int, datetime] = {}
    poll_after = _POLL_SECONDS
    steps = _steps(engine, selection, pace)
    more = True
    while more or waiting:
        if until is not None and time.monotonic() >= until:
            break
        if more and len(waiting) < MAX_WAITING:
            rows = next(steps, ())
            more = bool(rows)
            waiting.update(_make_due(engine, rows, tally, interactive=interactive) if rows else {})
            pace.spend(len(rows))
            if more and pace.rate is None:
                continue
        done = _count_outcomes(engine, waiting, tally)
        on_progress()
        poll_after = _POLL_SECONDS if done else min(poll_after * 1.3, _MAX_POLL_SECONDS)
        if waiting:
            time.sleep(poll_after)
    return len(waiting)


def _steps(engine: Engine, selection: Selection, pace: Pace) -> Iterator[Sequence[Row[Any]]]:
    statement = text(_STEP.format(where=selection.where))
    last = selection.after
    while True:
        with engine.connect() as connection:
            rows = connection.execute(
                statement, selection.parameters | {"last": last, "step": pace.step}
            ).all()
        if not rows:
            return
        last = rows[-1].id
        yield rows


def _make_due(
    engine: Engine, rows: Sequence[Row[Any]], tally: Tally, *, interactive: bool
) -> dict[int, datetime]:
    """Make these rows due; return those that can be refreshed, each with the instant of the request."""
    askable = sorted((row for row in rows if row.askable), key=lambda row: row.workspace_id)
    with engine.begin() as connection:
        asked_at: datetime = connection.execute(text("SELECT now()")).scalar_one()
        for workspace_id, group in groupby(askable, key=lambda row: str(row.workspace_id)):
            ids = [row.id for row in group]
            tally.made_due += make_due(connection, workspace_id, ids, Reason.MANUAL, interactive=interactive)
    tally.seen += len(rows)
    tally.failed += len(rows) - len(askable)
    tally.last = rows[-1].id
    return {row.id: asked_at for row in askable}


def _count_outcomes(engine: Engine, waiting: dict[int, datetime], tally: Tally) -> int:
    """Remove the rows that have an outcome from ``waiting`` and count them in the tally; return how many."""
    if not waiting:
        return 0
    with engine.connect() as connection:
        outcomes = connection.execute(
            text(_OUTCOMES), {"ids": list(waiting), "asked_ats": list(waiting.values())}
        ).all()
    done = 0
    for row in outcomes:
        verdict = Verdict.FAILED if row.deleted else _verdict(row.outcome)
        if verdict is Verdict.RETRIED:
            continue
        del waiting[row.id]
        done += 1
        if verdict is Verdict.FAILED:
            tally.failed += 1
        elif verdict is Verdict.POSTPONED:
            tally.postponed += 1
        else:
            tally.synced += 1
    return done


def _verdict(word: str | None) -> Verdict:
    kind = outcome_kind(word)
    if kind is not None:
        return kind.verdict
    # An outcome that only a newer version knows is neither a success nor a failure here.
    return Verdict.RETRIED if word is None else Verdict.POSTPONED
