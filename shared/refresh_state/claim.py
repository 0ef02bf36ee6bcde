"""Transition ``claim``: due rows, chosen by fair share and within the caps, are leased as jobs.

Leaderless: any number of schedulers may claim at once. A claim goes in small steps, each of which reads by
index what the step before named: no statement has a plan that the planner's statistics could turn.

1. The claim reads accounts whose timer has passed and the head of the queue (`shared.refresh_state.ready`),
   orders them by fair share (`shared.refresh_state.fair_share`) and locks them, one claim an account.
2. It reserves its jobs where other claims see them before the commit, and counts the jobs in flight again. So
   no cap is ever exceeded.
3. It takes rows, and stores when each account is due next.
4. It counts the calls of the jobs that it gave to each workspace. Claims wait for each other here alone.

An account with a hundred thousand due rows gets one job like every other account and cannot hide them.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import ceil, sqrt
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from shared.batches import BATCH_SIZE, calls, is_topped_up, job_size
from shared.refresh_queue import RefreshJob
from shared.refresh_state.fair_share import Candidate, Limits, in_order
from shared.refresh_state.ready import queue
from shared.refresh_state.ready.in_flight import InFlight, in_flight, next_suspect
from shared.refresh_state.ready.locks import lock_accounts, reserve
from shared.refresh_state.ready.memory import Beginning, ClaimMemory, QueueStart, begin
from shared.vocabulary import Lane, Platform

JOBS_PER_ACCOUNT = 4
"""Jobs of one account in flight at most: enough to use its limits, few enough to meet a dead token early."""

SUSPECT_STARTS = 2
"""Starts without a finish that make a row suspect: it may be what kills its workers. Suspects are handed out
one at a time in the whole fleet, so that the one at fault takes no other row with it into quarantine."""

_HEAD: Final = 64
"""The fewest accounts of each platform that fair share orders, from the head of the queue."""

_COMMITTED_WITHIN: Final = timedelta(seconds=15)
"""How long a transaction may take that makes a row due; a claim that forgot everything finds others."""

_READS: Final = 10
"""How often one claim reads on when it met no account that it may read and that has due rows."""

_TAKE: Final = """
WITH picked AS (
    SELECT r.place, r.expired, r.unfinished
      FROM unnest(CAST(:account_ids AS text[]), CAST(CAST(:rows_from AS text[]) AS timestamptz[]),
                  CAST(:sizes AS int[]), CAST(:per_call AS int[]), CAST(:top_ups AS float8[]))
           AS c (account_id, rows_from, size, per_call, top_up)
     CROSS JOIN LATERAL (
           -- rows that are nearly due fill up the last call, and never make one of their own
           SELECT CASE WHEN c.top_up = 0 THEN c.size
                       ELSE LEAST(c.size, (count(*) + c.per_call - 1) / c.per_call * c.per_call) END AS size
             FROM (SELECT FROM refresh_state s
                    WHERE (s.account_id, s.next_run_at) >= (c.account_id, c.rows_from)
                      AND (s.account_id, s.next_run_at) <= (c.account_id, now()) {same_lane}
                      AND c.top_up > 0
                    ORDER BY s.account_id, s.next_run_at LIMIT c.size) due) job
     CROSS JOIN LATERAL (
           SELECT s.ctid AS place, s.unfinished, s.claimed_at IS NOT NULL AS expired FROM refresh_state s
            WHERE (s.account_id, s.next_run_at) >= (c.account_id, c.rows_from)
              AND (s.account_id, s.next_run_at)
                  <= (c.account_id, now() + make_interval(secs => c.top_up)) {same_lane}
              AND (s.next_run_at <= now() OR (s.claimed_at IS NULL AND s.reason = 'stale'))
              AND (s.unfinished < :suspect OR s.claimed_at IS NULL OR s.publication_id = :next_suspect)
            ORDER BY s.account_id, s.next_run_at LIMIT job.size
              FOR UPDATE OF s SKIP LOCKED) r
)
UPDATE refresh_state AS r
   SET next_run_at = CAST(:at AS timestamptz) + make_interval(secs => :lease), claim_seq = r.claim_seq + 1,
       claimed_at = :at, reason = 'claimed'
  FROM picked
 WHERE r.ctid = picked.place -- the rows are locked: they stay where they are
RETURNING r.publication_id, r.account_id, r.claim_seq, picked.expired, picked.unfinished
"""
_TAKES: Final = {
    lane: text(_TAKE.format(same_lane="AND s.priority > 0" if lane is Lane.INTERACTIVE else ""))
    for lane in Lane
}

# The last statement of a claim: claims that gave jobs to one workspace wait for each other from here on.
_COUNT: Final = text("""
INSERT INTO turns AS t (scope, subject, weight, served, latest_cost)
SELECT scope, subject, weight, served, latest_cost FROM (
    SELECT 'account' AS scope, unnest(CAST(:account_ids AS text[])) AS subject, 1.0 AS weight, 1.0 AS served,
           1.0 AS latest_cost
     UNION ALL
    SELECT 'workspace', w.workspace_id, w.weight, :present + w.calls / w.weight, w.latest_cost
      FROM unnest(CAST(:workspace_ids AS text[]), CAST(:weights AS float8[]), CAST(:calls AS int[]),
                  CAST(:latest_costs AS int[])) AS w (workspace_id, weight, calls, latest_cost)
) given ORDER BY scope, subject
ON CONFLICT (scope, subject) DO UPDATE
   SET served = CASE t.scope WHEN 'account' THEN 1
                             ELSE GREATEST(t.served, :present) + excluded.served - :present END,
       latest_cost = excluded.latest_cost,
       served_at = now()
""")


@dataclass(frozen=True, slots=True)
class Claims:
    """The jobs of one claim, and how many of its rows had an expired lease."""

    jobs: tuple[RefreshJob, ...]
    rows: int
    expired_leases: int
    more_due: bool = False
    """Whether more timers have passed than one claim reads; `add_due` puts their accounts in the queue."""


def claim(
    connection: Connection,
    lane: Lane,
    *,
    jobs: int,
    platform_jobs: int,
    shared_jobs: int | None = None,
    lease: timedelta,
    top_up: Mapping[Platform, timedelta],
    memory: ClaimMemory | None = None,
) -> Claims:
    """Claim up to ``jobs`` jobs, one an account, and return them; the caller enqueues them after the commit.

    ``platform_jobs``: how many jobs of one platform may be in flight in the whole fleet. ``shared_jobs``: how
    many the platforms share evenly while several have work (``None``: they need not share). ``top_up``: how
    long before its due time a row may join a job of its account, by platform. ``memory``: of this scheduler's
    claims before, one object for all of them.
    """
    memory = memory or ClaimMemory()
    memory.forget_at_times()
    run = _Run(connection, lane, Limits(jobs, platform_jobs, shared_jobs), memory, begin(connection))
    choice = run.choose()
    if not choice.accounts:
        return Claims((), 0, 0, choice.more_due)
    within_caps = run.within_caps(choice)
    rows = run.take(within_caps, lease, top_up)
    run.count(Counter(row.account_id for row in rows), within_caps)
    place = {candidate.account_id: number for number, candidate in enumerate(within_caps)}
    rows.sort(key=lambda row: place[row.account_id])
    return Claims(tuple(_jobs(rows)), len(rows), sum(row.expired for row in rows), choice.more_due)


@dataclass(frozen=True, slots=True)
class _Choice:
    """The accounts that a claim has locked, in order, and the jobs in flight that each platform may have."""

    accounts: list[Candidate]
    capacity: int
    more_due: bool


@dataclass(slots=True)
class _Run:
    """The steps of one claim."""

    connection: Connection
    lane: Lane
    limits: Limits
    memory: ClaimMemory
    beginning: Beginning
    suspect: int | None = None
    """The suspect that may be taken."""
    present: float = 0
    """The present virtual time."""

    def choose(self) -> _Choice:
        """Lock the accounts that get the next jobs."""
        before = self._in_flight()
        if before.some_expired:
            self.suspect = next_suspect(self.connection, self.lane, self.memory.old_claims)
        self.memory.old_claims = before.old_claims
        self.present = queue.present(self.connection)
        self._resume()
        candidates, more_due = self._candidates(before.full)
        chosen, capacity = in_order(candidates, self.present, self.limits, before.by_platform)
        locked = set(
            lock_accounts(self.connection, [one.account_id for one in chosen], self.limits.jobs)
            if chosen
            else ()
        )
        return _Choice([one for one in chosen if one.account_id in locked], capacity, more_due)

    def _in_flight(self) -> InFlight:
        return in_flight(
            self.connection, self.memory.old_claims, self.beginning.settled_before, JOBS_PER_ACCOUNT
        )

    def _resume(self) -> None:
        """Put paused accounts back in the queue if a pause has ended since they were last looked at."""
        before = self.memory.pauses.get(self.lane)
        if before is None or before - self.beginning.pauses:
            all_resumed = queue.resume(self.connection, self.lane, self.present)
            self.memory.pauses.pop(self.lane, None)
            if not all_resumed:
                return
        self.memory.pauses[self.lane] = self.beginning.pauses

    def _candidates(self, full: Collection[str]) -> tuple[list[Candidate], bool]:
        """Return accounts that have due rows and may be read, and whether more timers have passed.

        The other accounts that it met are put out of the way of later claims.
        """
        most = max(_HEAD, 2 * self.limits.jobs)
        for _ in range(_READS):
            start = self.memory.queue_starts.get(self.lane, QueueStart())
            rows = queue.read(
                self.connection, self.lane, start, full=full, most=most, next_suspect=self.suspect
            )
            self._remember_start(rows, most)
            rows = [row for row in rows if row.account_id not in full]
            paused = [row.account_id for row in rows if row.due_at is not None and not row.readable]
            if paused:
                queue.pause(self.connection, self.lane, paused)
                # A pause may have ended since the pauses in force were read: look again next time.
                self.memory.pauses.pop(self.lane, None)
            early = {row.account_id: (row.weight, row.served) for row in rows if row.due_at is None}
            if early:
                locked = lock_accounts(self.connection, list(early), len(early))
                settled = {account_id: early[account_id] for account_id in locked}
                queue.settle(self.connection, self.lane, self.present, settled)
            candidates = [_candidate(row) for row in rows if row.due_at is not None and row.readable]
            if candidates or not (paused or early):
                break
        return candidates, any(row.timers >= most for row in rows)

    def _remember_start(self, rows: Sequence[Row[Any]], most: int) -> None:
        """Remember where the queue begins; what this claim deletes of it is left out by the next one."""
        timers = self.beginning.settled_before - _COMMITTED_WITHIN
        if rows and rows[0].first_timer is not None:
            timers = rows[0].first_timer if rows[0].timers >= most else min(rows[0].first_timer, timers)
        times = {platform.value: self.present - 1 for platform in Platform}
        for row in rows:
            if row.virtual_time is not None and row.platform is not None:
                times[row.platform] = min(times[row.platform], row.virtual_time - 1)
        self.memory.queue_starts[self.lane] = QueueStart(timers, times)

    def within_caps(self, choice: _Choice) -> list[Candidate]:
        """Return the chosen accounts that may be given a job, once the jobs in flight are counted again.

        What was committed since the accounts were chosen is counted, and what other claims have reserved.
        """
        reserved = reserve(self.connection, Counter(one.platform.value for one in choice.accounts))
        now = self._in_flight()
        given = Counter(now.by_platform)
        allowed = []
        for one in choice.accounts:
            if one.account_id not in now.full:
                given[one.platform] += 1
                if given[one.platform] <= choice.capacity - reserved[one.platform]:
                    allowed.append(one)
        return allowed

    def take(
        self,
        accounts: Sequence[Candidate],
        lease: timedelta,
        top_up: Mapping[Platform, timedelta],
    ) -> list[Row[Any]]:
        """Lease due rows of these accounts, one job of each, and return them."""
        background = self.lane is Lane.BACKGROUND
        parameters = {
            "account_ids": [one.account_id for one in accounts],
            "rows_from": [one.rows_from for one in accounts],
            "sizes": [job_size(one.platform, one.kind, self.lane) for one in accounts],
            "per_call": [BATCH_SIZE[one.platform] for one in accounts],
            "top_ups": [
                top_up[one.platform].total_seconds()
                if background and is_topped_up(one.platform, one.kind)
                else 0.0
                for one in accounts
            ],
            "suspect": SUSPECT_STARTS,
            "next_suspect": self.suspect,
            "at": self.beginning.at,
            "lease": lease.total_seconds(),
        }
        return list(self.connection.execute(_TAKES[self.lane], parameters))

    def count(self, given: Mapping[str, int], accounts: Sequence[Candidate]) -> None:
        """Store when these accounts are due next, and count the calls of the rows that were ``given``."""
        needed: Counter[str] = Counter()
        latest: dict[str, int] = {}
        for one in accounts:
            if rows := given.get(one.account_id):
                latest[one.workspace_id] = calls(one.platform, one.kind, rows)
                needed[one.workspace_id] += latest[one.workspace_id]
        workspaces = {one.workspace_id: one for one in accounts}
        served = {
            name: max(one.served, self.present) + needed[name] / one.weight
            for name, one in workspaces.items()
        }
        queue.settle(
            self.connection,
            self.lane,
            self.present,
            {one.account_id: (one.weight, served[one.workspace_id]) for one in accounts},
        )
        if needed:
            parameters = {
                "account_ids": sorted(given),
                "workspace_ids": list(needed),
                "weights": [workspaces[name].weight for name in needed],
                "calls": list(needed.values()),
                "latest_costs": [latest[name] for name in needed],
                "present": self.present,
            }
            self.connection.execute(_COUNT, parameters)


def _candidate(row: Row[Any]) -> Candidate:
    return Candidate(
        row.account_id,
        row.workspace_id,
        Platform(row.platform),
        row.kind,
        row.due_at,
        row.rows_from,
        row.weight,
        row.served,
        row.served_at,
    )


def _jobs(rows: Sequence[Row[Any]]) -> Iterator[RefreshJob]:
    """Yield one job for each account, and separate jobs for rows whose worker was lost.

    Rows that were lost together are retried in groups of the square root of their number: the row that killed
    their worker is in one group, so a batch of a hundred costs ten calls now, and ten more when that group is
    lost again. Each suspect is a job of its own.
    """
    groups: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for row in rows:
        lost = min(row.unfinished, SUSPECT_STARTS)
        groups.setdefault((row.account_id, lost), []).append((row.publication_id, row.claim_seq))
    for (account_id, lost), claims in groups.items():
        claims.sort()
        size = _group_size(len(claims), lost)
        for first in range(0, len(claims), size):
            yield RefreshJob(account_id, tuple(claims[first : first + size]))


def _group_size(rows: int, lost: int) -> int:
    if lost >= SUSPECT_STARTS:
        return 1
    return ceil(sqrt(rows)) if lost else rows
