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
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection

from shared.refresh_queue import RefreshJob
from shared.refresh_state.fair_share import Candidate, Limits, in_order
from shared.refresh_state.ready import queue, reading
from shared.refresh_state.ready.in_flight import InFlight, count_again, in_flight, next_suspect
from shared.refresh_state.ready.locks import lock_accounts, lock_and_reserve
from shared.refresh_state.ready.memory import Beginning, ClaimMemory, QueueStart, begin
from shared.refresh_state.take import Lease, jobs_of, take
from shared.refresh_state.virtual_times import count_calls, served_after
from shared.vocabulary import Lane, Platform

JOBS_PER_ACCOUNT = 4
"""Jobs of one account in flight at most: enough to use its limits, few enough to meet a dead token early."""

_HEAD: Final = 64
"""The fewest accounts of each platform that fair share orders, from the head of the queue."""

_COMMITTED_WITHIN: Final = timedelta(seconds=15)
"""How long a transaction may take that makes a row due; a claim that forgot everything finds others."""

_READS: Final = 10
"""How often one claim reads on when it met no account that it may read and that has due rows."""


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
    rows = take(connection, lane, within_caps, Lease(run.beginning.at, lease), top_up, run.suspect)
    run.count(Counter(row.account_id for row in rows), within_caps)
    place = {candidate.account_id: number for number, candidate in enumerate(within_caps)}
    rows.sort(key=lambda row: place[row.account_id])
    return Claims(tuple(jobs_of(rows)), len(rows), sum(row.expired for row in rows), choice.more_due)


@dataclass(frozen=True, slots=True)
class _Choice:
    """The accounts that a claim has locked, in order, and the jobs in flight that each platform may have."""

    accounts: list[Candidate]
    capacities: Mapping[str, int]
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
    before: InFlight = field(init=False)
    """The jobs in flight when the accounts were chosen."""
    reserved: Mapping[str, int] = field(default_factory=dict)
    """The jobs of each platform that other claims have reserved."""

    def choose(self) -> _Choice:
        """Lock the accounts that get the next jobs."""
        before = self.before = in_flight(
            self.connection, self.memory.old_claims, self.beginning.settled_before, JOBS_PER_ACCOUNT
        )
        self.present = before.present
        if before.some_expired:
            self.suspect = next_suspect(self.connection, self.lane, self.memory.old_claims)
        self.memory.old_claims = before.old_claims
        self._resume()
        candidates, more_due = self._candidates(before.full)
        chosen, capacities = in_order(candidates, self.present, self.limits, before.by_platform)
        platforms = {one.account_id: one.platform.value for one in chosen}
        locked, self.reserved = (
            lock_and_reserve(self.connection, platforms, self.limits.jobs) if chosen else ([], {})
        )
        has_locked = set(locked)
        return _Choice([one for one in chosen if one.account_id in has_locked], capacities, more_due)

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
            rows = reading.read(
                self.connection, self.lane, start, full=full, most=most, next_suspect=self.suspect
            )
            self._remember_start(rows, most)
            rows = [row for row in rows if row.account_id not in full]
            paused = [row.account_id for row in rows if row.due_at is not None and not row.readable]
            if paused:
                queue.pause(self.connection, self.lane, paused)
                # A pause may have ended since the pauses in force were read: look again next time.
                self.memory.pauses.pop(self.lane, None)
            early = {row.account_id: row for row in rows if row.due_at is None}
            if early:
                locked = lock_accounts(self.connection, list(early), len(early))
                settled = [_served(early[account_id], early[account_id].served) for account_id in locked]
                queue.settle(self.connection, self.lane, self.present, settled)
            candidates = [_candidate(row) for row in rows if row.due_at is not None and row.readable]
            if candidates or not (paused or early):
                break
        return candidates, any(row.timers >= most for row in rows)

    def _remember_start(self, rows: Sequence[Any], most: int) -> None:
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
        now = count_again(self.connection, self.before, JOBS_PER_ACCOUNT)
        given = Counter(now.by_platform)
        allowed = []
        for one in choice.accounts:
            if one.account_id not in now.full:
                given[one.platform] += 1
                if given[one.platform] <= choice.capacities[one.platform] - self.reserved[one.platform]:
                    allowed.append(one)
        return allowed

    def count(self, given: Mapping[str, int], accounts: Sequence[Candidate]) -> None:
        """Store when these accounts are due next, and count the calls of the rows that were ``given``."""
        served = served_after(given, accounts, self.present)
        settled = [_served(one, served[one.workspace_id]) for one in accounts]
        queue.settle(self.connection, self.lane, self.present, settled)
        count_calls(self.connection, given, accounts, self.present)


def _served(account: Any, served: float) -> queue.Served:
    return queue.Served(account.account_id, account.workspace_id, account.platform, account.weight, served)


def _candidate(row: Any) -> Candidate:
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
