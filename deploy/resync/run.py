"""A re-sync under way: rows made due in small steps, paced, and watched until each has its outcome.

Only ids are held, and only of the step at hand or of rows that are waited for: a million rows are a stream.
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
IN_SIGHT = 2_000
"""Rows waited for at a time with ``--wait``: no more are made due before some of them are done."""
INTERACTIVE_UP_TO = 1_000
"""Larger selections take the background lane, so that they never stand before somebody who waits."""
_LOOK_SECONDS = 0.1
_LOOK_SECONDS_MOST = 2.0

_STEP = f"""
SELECT p.id, p.workspace_id, {ASKABLE} AS askable {TABLES}
 WHERE {{where}} AND p.id > :last ORDER BY p.id LIMIT :step
"""
_LOOK = """
SELECT w.id, r.publication_id IS NULL AS deleted,
       CASE WHEN r.reason = 'blocked' THEN 'requires_reconnect'
            WHEN pa.attempted_at >= w.asked_at AND r.claimed_at IS NULL THEN pa.outcome END AS outcome
  FROM unnest(CAST(:ids AS bigint[]), CAST(:asked_ats AS timestamptz[])) AS w (id, asked_at)
  LEFT JOIN refresh_state r ON r.publication_id = w.id
  LEFT JOIN post_analytics pa ON pa.publication_id = w.id
"""


@dataclass(slots=True)
class Tally:
    """How far a re-sync has come."""

    seen: int = 0
    """Rows that were gone through."""
    made_due: int = 0
    """Rows asked for that were not due or claimed for it already."""
    synced: int = 0
    failed: int = 0
    postponed: int = 0
    """Answered, but with the verdict left to a later look: missing once, or no public id yet."""
    last: int = 0
    """The last publication that was gone through: a stopped run goes on after it."""


@dataclass(slots=True)
class Pace:
    """So many rows a second and no more; ``None``: as fast as they can be written."""

    rate: float | None
    _since: float | None = None
    _rows: int = 0

    @property
    def step(self) -> int:
        """Rows to take at once: about a quarter of a second's worth."""
        return STEP if self.rate is None else max(1, min(STEP, int(self.rate / 4)))

    def spend(self, rows: int) -> None:
        """Sleep until so many more rows are within the rate."""
        if self._since is None:
            self._since = time.monotonic()
        self._rows += rows
        if self.rate is not None:
            ahead = self._rows / self.rate - (time.monotonic() - self._since)
            if ahead > 0:
                time.sleep(ahead)


def ask(
    engine: Engine,
    selection: Selection,
    tally: Tally,
    pace: Pace,
    *,
    interactive: bool,
    tell: Callable[[], None],
) -> None:
    """Make all selected rows due, at the given pace, and return."""
    for rows in _steps(engine, selection, pace):
        _make_due(engine, rows, tally, interactive=interactive)
        tell()
        pace.spend(len(rows))


def ask_and_wait(
    engine: Engine,
    selection: Selection,
    tally: Tally,
    pace: Pace,
    *,
    interactive: bool,
    until: float | None,
    tell: Callable[[], None],
) -> int:
    """Make all selected rows due and wait for each one's outcome; return how many have none yet.

    ``until``: instant of the monotonic clock at which waiting ends.
    """
    waiting: dict[int, datetime] = {}
    look_after = _LOOK_SECONDS
    steps = _steps(engine, selection, pace)
    more = True
    while more or waiting:
        if until is not None and time.monotonic() >= until:
            break
        if more and len(waiting) < IN_SIGHT:
            rows = next(steps, ())
            more = bool(rows)
            waiting.update(_make_due(engine, rows, tally, interactive=interactive) if rows else {})
            pace.spend(len(rows))
            if more and pace.rate is None:
                continue
        done = _look(engine, waiting, tally)
        tell()
        look_after = _LOOK_SECONDS if done else min(look_after * 1.3, _LOOK_SECONDS_MOST)
        if waiting:
            time.sleep(look_after)
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
    """Make these rows due and return the ones that can be asked for, each with the instant of asking."""
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


def _look(engine: Engine, waiting: dict[int, datetime], tally: Tally) -> int:
    """Take the rows that have their outcome out of ``waiting`` and count them; return how many."""
    if not waiting:
        return 0
    with engine.connect() as connection:
        found = connection.execute(
            text(_LOOK), {"ids": list(waiting), "asked_ats": list(waiting.values())}
        ).all()
    done = 0
    for row in found:
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
    return (
        Verdict.RETRIED if word is None else Verdict.POSTPONED
    )  # a word of a newer version decides nothing here
