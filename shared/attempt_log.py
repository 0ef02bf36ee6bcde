"""The timeline of a publication's attempts: at most the last 20, at no cost for the ones that bring numbers.

An attempt that brings numbers is already a snapshot, where unchanged ones are collapsed. Every other attempt
is an entry of the publication's log, written in the transaction that records the outcome; equal ones in a row
are collapsed, too. So a healthy fleet writes nothing for its timeline.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, text

from shared.freshness.explain import explain_stored

KEPT: Final = 20
"""Entries of one publication."""

_STORE: Final = text("""
INSERT INTO attempt_logs AS l (publication_id, entries)
SELECT id, jsonb_build_array(jsonb_build_object(
           'at', now(), 'since', now(), 'times', 1, 'outcome', outcome, 'sentence', sentence,
           'seconds', CAST(:seconds AS float8), 'worker', CAST(:worker AS text),
           'request_id', CAST(:request_id AS text)))
  FROM unnest(CAST(:ids AS bigint[]), CAST(:outcomes AS text[]), CAST(:sentences AS text[]))
       AS o (id, outcome, sentence)
ON CONFLICT (publication_id) DO UPDATE SET entries =
    CASE WHEN l.entries -> -1 ->> 'outcome' = excluded.entries -> 0 ->> 'outcome'
          AND l.entries -> -1 ->> 'sentence' IS NOT DISTINCT FROM excluded.entries -> 0 ->> 'sentence'
         THEN (l.entries - -1) || (excluded.entries -> 0
              || jsonb_build_object('since', l.entries -> -1 -> 'since',
                                    'times', CAST(l.entries -> -1 ->> 'times' AS int) + 1))
         WHEN jsonb_array_length(l.entries) >= :kept THEN (l.entries - 0) || excluded.entries
         ELSE l.entries || excluded.entries END
""")

_ENTRIES: Final = text("SELECT entries FROM attempt_logs WHERE publication_id = :id")
_SNAPSHOTS: Final = text("""
SELECT sync_status, taken_at, last_seen_at, reads, freshness FROM snapshots
 WHERE publication_id = :id ORDER BY taken_at DESC LIMIT :kept
""")
_LAST: Final = text("""
SELECT attempted_at, outcome, outcome_detail FROM post_analytics
 WHERE publication_id = :id AND attempted_at IS NOT NULL AND outcome IS NOT NULL
""")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt, or equal ones in a row."""

    at: datetime
    """When the last of them ended."""
    since: datetime
    """When the first of them ended."""
    times: int
    outcome: str
    sentence: str | None
    seconds: float | None = None
    """How long the job of the last one took; ``None``: not recorded, as of attempts that brought numbers."""
    worker: str | None = None
    request_id: str | None = None
    """In the worker's log, every line of that job has it."""
    freshness: str | None = None
    """Why the row was due again when it was after the last of them; ``None``: unknown, or no numbers came."""


def store(
    connection: Connection,
    attempts: Sequence[tuple[int, str, str | None]],
    *,
    seconds: float,
    worker: str,
    request_id: str,
) -> None:
    """Add attempts that brought no numbers: publication id, outcome and sentence of each, of one job."""
    if not attempts:
        return
    ids, outcomes, sentences = zip(*attempts, strict=True)
    connection.execute(
        _STORE,
        {
            "ids": list(ids),
            "outcomes": list(outcomes),
            "sentences": list(sentences),
            "seconds": round(seconds, 3),
            "worker": worker,
            "request_id": request_id,
            "kept": KEPT,
        },
    )


def attempts_of(connection: Connection, publication_id: int) -> list[Attempt]:
    """Return the last attempts of a publication, the newest first, at most `KEPT`."""
    bound = {"id": publication_id, "kept": KEPT}
    entries = connection.execute(_ENTRIES, bound).scalar_one_or_none() or []
    attempts = [_attempt(entry) for entry in entries]
    attempts += [
        Attempt(
            row.last_seen_at,
            row.taken_at,
            row.reads,
            row.sync_status,
            None,
            freshness=explain_stored(row.freshness) if row.freshness else None,
        )
        for row in connection.execute(_SNAPSHOTS, bound)
    ]
    last = connection.execute(_LAST, bound).one_or_none()
    newest = max(attempts, key=lambda attempt: attempt.at, default=None)
    known = newest and (newest.outcome, newest.sentence)
    if last is not None and known != (last.outcome, last.outcome_detail):
        # Written for the whole account, or by an earlier version: it has no entry of its own.
        attempts.append(Attempt(last.attempted_at, last.attempted_at, 1, last.outcome, last.outcome_detail))
    return sorted(attempts, key=lambda attempt: attempt.at, reverse=True)[:KEPT]


def _attempt(entry: dict[str, Any]) -> Attempt:
    instants = {name: datetime.fromisoformat(entry[name]) for name in ("at", "since")}
    return Attempt(**{**entry, **instants})
