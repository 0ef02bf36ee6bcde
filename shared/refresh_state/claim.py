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
from collections.abc import Iterator, Mapping, Sequence
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
from shared.vocabulary import Lane, Platform

JOBS_PER_ACCOUNT = 4
"""Jobs of one account in flight at most: enough to use its limits, few enough to meet a dead token early."""

SUSPECT_STARTS = 2
"""Starts without a finish that make a row suspect: it may be what kills its workers. Suspects are handed out
one at a time in the whole fleet, so that the one at fault takes no other row with it into quarantine."""

_HEAD: Final = 64
"""The fewest accounts of each platform that fair share orders, from the head of the queue."""

_READS: Final = 10
"""How often one claim reads on when it met no account that it may read and that has due rows."""

# Each statement finds its rows by index whatever the statistics say; compiling would cost more than running.
_SETTINGS: Final = text("""
SELECT set_config('enable_seqscan', 'off', TRUE), set_config('enable_bitmapscan', 'off', TRUE),
       set_config('enable_hashjoin', 'off', TRUE), set_config('enable_mergejoin', 'off', TRUE),
       set_config('jit', 'off', TRUE)
""")

_TAKE: Final = """
WITH picked AS (
    SELECT r.publication_id, r.expired, r.unfinished, c.account_id
      FROM unnest(CAST(:account_ids AS text[]), CAST(CAST(:rows_from AS text[]) AS timestamptz[]),
                  CAST(:sizes AS int[]), CAST(:per_call AS int[]), CAST(:top_ups AS float8[]))
           AS c (account_id, rows_from, size, per_call, top_up)
     CROSS JOIN LATERAL (
           -- rows that are nearly due fill up the last call, and never make one of their own
           SELECT CASE WHEN c.top_up = 0 THEN c.size
                       ELSE LEAST(c.size, (count(*) + c.per_call - 1) / c.per_call * c.per_call) END AS size
             FROM (SELECT FROM refresh_state s
                    WHERE s.account_id = c.account_id {same_lane} AND c.top_up > 0
                      AND s.next_run_at >= c.rows_from AND s.next_run_at <= now() LIMIT c.size) due) job
     CROSS JOIN LATERAL (
           SELECT s.publication_id, s.unfinished, s.claimed_at IS NOT NULL AS expired FROM refresh_state s
            WHERE s.account_id = c.account_id {same_lane}
              AND s.next_run_at >= c.rows_from
              AND s.next_run_at <= now() + make_interval(secs => c.top_up)
              AND (s.next_run_at <= now() OR (s.claimed_at IS NULL AND s.reason = 'stale'))
              AND (s.unfinished < :suspect OR s.claimed_at IS NULL OR s.publication_id = :next_suspect)
            ORDER BY s.account_id, s.next_run_at LIMIT job.size
              FOR UPDATE OF s SKIP LOCKED) r
)
UPDATE refresh_state AS r
   SET next_run_at = now() + make_interval(secs => :lease), claim_seq = r.claim_seq + 1,
       claimed_at = now(), reason = 'claimed'
  FROM picked
 WHERE r.publication_id = picked.publication_id
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
) -> Claims:
    """Claim up to ``jobs`` jobs, one an account, and return them; the caller enqueues them after the commit.

    ``platform_jobs``: how many jobs of one platform may be in flight in the whole fleet. ``shared_jobs``: how
    many the platforms share evenly while several have work (``None``: they need not share). ``top_up``: how
    long before its due time a row may join a job of its account, by platform.
    """
    connection.execute(_SETTINGS)
    before = in_flight(connection)
    suspect = next_suspect(connection, lane, before)
    run = _Run(connection, lane, Limits(jobs, platform_jobs, shared_jobs), suspect)
    present = queue.present(connection)
    queue.resume(connection, lane, present)
    choice = run.choose(before, present)
    if not choice.accounts:
        return Claims((), 0, 0, choice.more_due)
    within_caps = run.within_caps(choice)
    rows = run.take(within_caps, lease, top_up)
    run.count(Counter(row.account_id for row in rows), within_caps, present)
    place = {candidate.account_id: number for number, candidate in enumerate(within_caps)}
    rows.sort(key=lambda row: place[row.account_id])
    return Claims(tuple(_jobs(rows)), len(rows), sum(row.expired for row in rows), choice.more_due)


@dataclass(frozen=True, slots=True)
class _Choice:
    """The accounts that a claim has locked, in order, and the jobs in flight that each platform may have."""

    accounts: list[Candidate]
    capacity: int
    more_due: bool


@dataclass(frozen=True, slots=True)
class _Run:
    """The steps of one claim."""

    connection: Connection
    lane: Lane
    limits: Limits
    suspect: int | None
    """The suspect that may be taken."""

    def choose(self, open_claims: InFlight, present: float) -> _Choice:
        """Lock the accounts that get the next jobs."""
        by_account, by_platform = open_claims.by_account(), open_claims.by_platform()
        full = [account_id for account_id, jobs in by_account.items() if jobs >= JOBS_PER_ACCOUNT]
        candidates, more_due = self._candidates(full, present)
        chosen, capacity = in_order(candidates, present, self.limits, by_platform)
        locked = set(
            lock_accounts(self.connection, [one.account_id for one in chosen], self.limits.jobs)
            if chosen
            else ()
        )
        return _Choice([one for one in chosen if one.account_id in locked], capacity, more_due)

    def _candidates(self, full: Sequence[str], present: float) -> tuple[list[Candidate], bool]:
        """Return accounts that have due rows and may be read, and whether more timers have passed.

        The other accounts that it met are put out of the way of later claims.
        """
        most = max(_HEAD, 2 * self.limits.jobs)
        for _ in range(_READS):
            rows = queue.read(self.connection, self.lane, full=full, most=most, next_suspect=self.suspect)
            paused = [row.account_id for row in rows if row.due_at is not None and not row.readable]
            if paused:
                queue.pause(self.connection, self.lane, paused)
            early = {row.account_id: (row.weight, row.served) for row in rows if row.due_at is None}
            if early:
                locked = lock_accounts(self.connection, list(early), len(early))
                settled = {account_id: early[account_id] for account_id in locked}
                queue.settle(self.connection, self.lane, present, settled)
            candidates = [_candidate(row) for row in rows if row.due_at is not None and row.readable]
            if candidates or not (paused or early):
                break
        return candidates, any(row.timers >= most for row in rows)

    def within_caps(self, choice: _Choice) -> list[Candidate]:
        """Return the chosen accounts that may be given a job, once the jobs in flight are counted again.

        What was committed since the accounts were chosen is counted, and what other claims have reserved.
        """
        reserved = reserve(self.connection, Counter(one.platform.value for one in choice.accounts))
        now = in_flight(self.connection)
        by_account, given = now.by_account(), now.by_platform()
        allowed = []
        for one in choice.accounts:
            if by_account[one.account_id] < JOBS_PER_ACCOUNT:
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
            "lease": lease.total_seconds(),
        }
        return list(self.connection.execute(_TAKES[self.lane], parameters))

    def count(self, given: Mapping[str, int], accounts: Sequence[Candidate], present: float) -> None:
        """Store when these accounts are due next, and count the calls of the rows that were ``given``."""
        needed: Counter[str] = Counter()
        latest: dict[str, int] = {}
        for one in accounts:
            if rows := given.get(one.account_id):
                latest[one.workspace_id] = calls(one.platform, one.kind, rows)
                needed[one.workspace_id] += latest[one.workspace_id]
        workspaces = {one.workspace_id: one for one in accounts}
        served = {
            name: max(one.served, present) + needed[name] / one.weight for name, one in workspaces.items()
        }
        queue.settle(
            self.connection,
            self.lane,
            present,
            {one.account_id: (one.weight, served[one.workspace_id]) for one in accounts},
        )
        if needed:
            parameters = {
                "account_ids": sorted(given),
                "workspace_ids": list(needed),
                "weights": [workspaces[name].weight for name in needed],
                "calls": list(needed.values()),
                "latest_costs": [latest[name] for name in needed],
                "present": present,
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
