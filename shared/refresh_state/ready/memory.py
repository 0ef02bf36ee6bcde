"""What a scheduler remembers from claim to claim, and how a claim begins.

A session that holds a snapshot, such as a backup, makes PostgreSQL keep the entries of finished claims in its
indexes. A claim that began at the beginning of an index would walk over all of them.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from shared.driver.statement import Statement
from shared.vocabulary import Lane

FORGET_AFTER: Final = timedelta(minutes=1)
"""How long a memory lasts: then a claim reads everything again, whatever was missed before."""

STARTED: Final = 720_572_200
"""First half of the advisory locks of claims under way; the second half: when it began, in seconds."""

_ROUND: Final = 2**31  # milliseconds of the clock are locked modulo this number: the rounds last 24 days

# The locks are read before any later statement takes its snapshot: a claim that is not among them any more is
# committed and seen there. One that is not among them yet is made later than this one begins: its instant is
# taken once it has its lock. Plans stay those for which the indexes exist, whatever the statistics say;
# compiling a statement would cost more than it takes.
_BEGIN: Final = Statement("""
WITH began AS MATERIALIZED (
    SELECT clock_timestamp() AS at
), named AS MATERIALIZED (
    SELECT at, CAST(FLOOR(EXTRACT(epoch FROM at) * 1000) AS bigint) % :round AS ms FROM began
), locked AS MATERIALIZED (
    SELECT at, ms, pg_advisory_xact_lock_shared(:started, CAST(ms AS int)) FROM named
)
SELECT clock_timestamp() AS at,
       concat(set_config('enable_seqscan', 'off', TRUE), set_config('enable_bitmapscan', 'off', TRUE),
       set_config('enable_hashjoin', 'off', TRUE), set_config('enable_mergejoin', 'off', TRUE),
       set_config('enable_sort', 'off', TRUE), set_config('enable_incremental_sort', 'off', TRUE),
       set_config('jit', 'off', TRUE), set_config('plan_cache_mode', 'force_generic_plan', TRUE)) AS settings,
       at - CAST(:margin AS interval) - make_interval(secs => (
           SELECT COALESCE(max((ms - CAST(objid AS bigint) + :round) % :round), 0) FROM pg_locks
            WHERE locktype = 'advisory' AND mode = 'ShareLock' AND CAST(classid AS bigint) = :started
              AND pid <> pg_backend_pid()
              AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
       ) / 1000.0) AS settled_before,
       ARRAY(SELECT platform || ' ' || kind || ' ' || subject FROM pauses WHERE paused_until > now())
           AS pauses
  FROM locked
""")
_MARGIN: Final = timedelta(milliseconds=20)
"""For locks in whole milliseconds, and for a clock that is set back a little."""


@dataclass(frozen=True, slots=True)
class OldClaims:
    """The open claims that were made before an instant."""

    before: datetime | None = None
    """``None``: nothing is known."""
    account_ids: tuple[str, ...] = ()
    claimed_ats: tuple[str, ...] = ()
    """As PostgreSQL writes them."""
    platforms: tuple[str, ...] = ()
    """Of the accounts."""


@dataclass(frozen=True, slots=True)
class QueueStart:
    """Where timers and ready accounts of a lane begin; before are only entries of deleted ones."""

    timers: datetime | None = None
    """``None``: nothing is known."""
    virtual_times: Mapping[str, float] = field(default_factory=dict)
    """By platform; a platform that is absent is not known."""


@dataclass(slots=True)
class ClaimMemory:
    """What one scheduler knows from its claims before. Empty at first: a claim then reads everything."""

    old_claims: OldClaims = OldClaims()
    pauses: dict[Lane, frozenset[str]] = field(default_factory=dict)
    """The pauses that were in force when paused accounts were last looked at."""
    queue_starts: dict[Lane, QueueStart] = field(default_factory=dict)
    _began_at: float = field(default_factory=time.monotonic)

    def forget_at_times(self) -> None:
        """Forget everything once it is `FORGET_AFTER` old."""
        now = time.monotonic()
        if now - self._began_at > FORGET_AFTER.total_seconds():
            self.old_claims, self.pauses, self.queue_starts, self._began_at = OldClaims(), {}, {}, now


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a claim learns in its first statement."""

    at: datetime
    """The instant that its rows have as ``claimed_at``; other claims see by then that it is under way."""
    settled_before: datetime
    """No claim that is not committed yet was made before this instant."""
    pauses: frozenset[str]


def begin(connection: Connection) -> Beginning:
    """Begin a claim: make it known to other claims, and set what its statements need."""
    (row,) = _BEGIN.all(connection, {"started": STARTED, "round": _ROUND, "margin": _MARGIN})
    return Beginning(row.at, row.settled_before, frozenset(row.pauses))
