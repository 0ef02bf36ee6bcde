"""The progress of a re-sync at the terminal: what was made due, and the outcomes of those rows.

`shared.operations.bulk_resync` makes the rows due. Only the ids of rows without an outcome are in memory: a
million rows are a stream.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Engine, text

from shared.operations.bulk_resync import Step
from shared.operations.holds.groups import HeldGroup
from shared.outcome_kinds import Verdict, outcome_kind

MAX_WAITING = 2_000
"""Rows waited for at a time with ``--wait``: no more are made due before some of them have an outcome."""
IDLE_SECONDS = 5.0
"""Without any outcome for so long, the command says what the rows wait for."""
_POLL_SECONDS = 0.1
_MAX_POLL_SECONDS = 2.0

_OUTCOMES = """
SELECT w.id, r.publication_id IS NULL AS deleted,
       CASE WHEN r.reason = 'blocked' THEN 'requires_reconnect'
            WHEN pa.attempted_at >= w.requested_at AND r.claimed_at IS NULL THEN pa.outcome END AS outcome,
       COALESCE(CASE WHEN r.reason = 'blocked' THEN pa.error_message END, pa.outcome_detail) AS detail,
       p.platform, p.post_id
  FROM unnest(CAST(:ids AS bigint[]), CAST(:requested_ats AS timestamptz[])) AS w (id, requested_at)
  LEFT JOIN refresh_state r ON r.publication_id = w.id
  LEFT JOIN post_analytics pa ON pa.publication_id = w.id
  LEFT JOIN publications p ON p.id = w.id
"""
MAX_EXAMPLES = 3
_DELETED = "deleted"


@dataclass(slots=True)
class Failures:
    """The failed rows of one cause."""

    platform: str | None
    outcome: str
    """`OutcomeKind`, or ``deleted`` for a publication that no longer exists."""
    detail: str | None
    rows: int = 0
    examples: list[str] = field(default_factory=list)
    """The first post ids, at most `MAX_EXAMPLES`."""


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
    unfinished: int = 0
    """Rows without an outcome when waiting ended."""
    failures: dict[tuple[str | None, str, str | None], Failures] = field(default_factory=dict)
    """The failed rows that had an outcome, by cause."""
    waiting_for: list[HeldGroup] = field(default_factory=list)
    """What those rows wait for."""

    def add(self, step: Step) -> None:
        """Count a step; a row that cannot be refreshed counts as failed."""
        self.seen += step.rows
        self.made_due += step.made_due
        self.failed += step.rows - len(step.requested)
        self.last = step.last

    def add_failure(
        self, platform: str | None, outcome: str, detail: str | None, post_id: str | None
    ) -> None:
        """Count a row that failed, with its cause."""
        self.failed += 1
        failures = self.failures.setdefault((platform, outcome, detail), Failures(platform, outcome, detail))
        failures.rows += 1
        if post_id and len(failures.examples) < MAX_EXAMPLES:
            failures.examples.append(post_id)

    @property
    def causes(self) -> list[Failures]:
        """The failed rows by cause, the most frequent first."""
        return sorted(self.failures.values(), key=lambda one: -one.rows)


def make_all_due(steps: Iterator[Step], tally: Tally, on_progress: Callable[[], None]) -> None:
    """Run all steps of a re-sync, without waiting for outcomes."""
    for step in steps:
        tally.add(step)
        on_progress()


def make_all_due_and_wait(
    engine: Engine,
    steps: Iterator[Step],
    tally: Tally,
    *,
    until: float | None,
    paced: bool,
    on_progress: Callable[[], None],
    on_idle: Callable[[list[int]], None] = lambda _waiting: None,
) -> list[int]:
    """Run all steps of a re-sync and wait for each row's outcome; return the rows that have none yet.

    ``until``: instant of the monotonic clock at which waiting ends. ``paced``: outcomes are counted between
    steps. ``on_idle`` is called with the waiting rows, once, when none had an outcome for `IDLE_SECONDS`.
    """
    idle_at: float | None = None
    waiting: dict[int, datetime] = {}
    poll_after = _POLL_SECONDS
    more = True
    while more or waiting:
        if until is not None and time.monotonic() >= until:
            break
        if more and len(waiting) < MAX_WAITING:
            step = next(steps, None)
            more = step is not None and not step.is_last
            if step is not None:
                tally.add(step)
                waiting.update(step.requested)
            if more and not paced:
                continue
        done = _count_outcomes(engine, waiting, tally)
        on_progress()
        if done or idle_at is None:
            idle_at = time.monotonic() + IDLE_SECONDS
        elif time.monotonic() >= idle_at:
            on_idle(list(waiting))
            idle_at = math.inf
        poll_after = _POLL_SECONDS if done else min(poll_after * 1.3, _MAX_POLL_SECONDS)
        if waiting:
            time.sleep(poll_after)
    return list(waiting)


def _count_outcomes(engine: Engine, waiting: dict[int, datetime], tally: Tally) -> int:
    """Remove the rows that have an outcome from ``waiting`` and count them in the tally; return how many."""
    if not waiting:
        return 0
    with engine.connect() as connection:
        outcomes = connection.execute(
            text(_OUTCOMES), {"ids": list(waiting), "requested_ats": list(waiting.values())}
        ).all()
    done = 0
    for row in outcomes:
        verdict = Verdict.FAILED if row.deleted else _verdict(row.outcome)
        if verdict is Verdict.RETRIED:
            continue
        del waiting[row.id]
        done += 1
        if verdict is Verdict.FAILED:
            outcome = _DELETED if row.deleted else row.outcome
            tally.add_failure(row.platform, outcome, row.detail, row.post_id)
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
