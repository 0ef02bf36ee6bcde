"""The budgets of one job: reserved before each call, updated by each answer and by how the job ends.

`JobBudget.acquire` is the job's `worker.http.upstream.Gate`, `JobBudget.on_limits` its
`worker.http.upstream.Sink`. They write to Redis at once, for the whole fleet. The pauses for PostgreSQL are
collected in `JobBudget.new_pauses`, and the end of the job writes them.
"""

import random
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from shared.observability import metrics
from shared.quota.budgets import Decision
from shared.quota.limits import Bucket, bucket
from shared.quota.pauses import PauseInForce
from shared.vocabulary import BucketKind, Lane, PauseKind, PauseSubject, Platform
from worker.errors import Paused, RefreshError, TryAgain
from worker.quota.fleet import FleetBudgets
from worker.quota.pause import Deferred, NewPause, pause_of
from worker.readings import Limit

_SHORTEST_SLEEP: Final = timedelta(milliseconds=2)
_PAUSED_FROM: Final = timedelta(minutes=5)
"""Longer waits of background work become pauses that claims respect; the rows stay due, and one of them is
refreshed now and then to learn whether the used share has fallen."""
_RECENT_USE: Final = 2  # how many times slower than evenly a used share may fall


class JobBudget:
    """The budgets as one job of an account uses them.

    ``in_force``: the pauses that concern the account when the job starts.
    """

    def __init__(
        self,
        fleet: FleetBudgets,
        account_id: str,
        platform: Platform,
        lane: Lane,
        in_force: Sequence[PauseInForce],
        *,
        now: Callable[[], datetime],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.new_pauses: list[NewPause] = []
        """The pauses that the answers so far require."""
        self._fleet = fleet
        self._account_id = account_id
        self._platform = platform
        self._lane = lane
        self._paused_endpoints = {
            one.subject: one for one in reversed(in_force) if one.kind.subject is PauseSubject.ENDPOINT
        }
        self._background_from: dict[Bucket, datetime] = {}
        """When background calls may go on, by what the answers to this job said: Redis may lose it."""
        self._background_subjects = {pause.subject for pause in in_force if pause.kind.background_only}
        self._tried = [pause for pause in in_force if pause.is_tried(now())]
        self._now = now
        self._sleep = sleep
        self._wait_left = fleet.longest_wait
        self._probing: tuple[Bucket, ...] = ()
        self._called: str | None = None
        """The endpoint of the latest call."""

    def acquire(self, platform: Platform, account_id: str, endpoint: str, cost: int, /) -> None:
        """Reserve a call, waiting for it if need be; raise `Deferred` when that would take too long."""
        if pause := self._paused_endpoints.get(endpoint):
            raise Deferred(
                pause.reason,
                kind=BucketKind.ENDPOINT,
                endpoint=endpoint,
                until=pause.paused_until,
                pause=pause.key,
            )
        if self._called is None:
            self._reopen()
        self._end_probe()  # the job goes on, so its previous call was not refused
        wanted = self._fleet.limits.of_call(platform, account_id, endpoint)
        if answered := self._pause_by_answers([one for one, _ in wanted]):
            raise self._exhausted(answered, endpoint)
        while (decision := self._fleet.budgets.reserve(wanted, cost, self._lane)).wait:
            if decision.paused or decision.wait > self._wait_left:
                raise self._exhausted(decision, endpoint)
            # Jitter, so waiters do not retry in lockstep.
            wait = max(decision.wait * random.uniform(1, 1.3), _SHORTEST_SLEEP)  # noqa: S311 - jitter needs no secrecy
            self._wait_left -= wait
            self._sleep(wait.total_seconds())
        self._fleet.calls.count([one for one, _ in wanted], cost)
        self._called, self._probing = endpoint, decision.probes
        if decision.left:
            tightest, part = decision.left
            metrics.BUDGET_REMAINING.labels(platform.value, tightest.kind.value).set(part)

    def _pause_by_answers(self, wanted: Sequence[Bucket]) -> Decision | None:
        """Return the decision about a background call that an answer to this job forbids, if one does."""
        if self._lane is not Lane.BACKGROUND:
            return None
        waits = [
            (self._background_from[one] - self._now(), one) for one in wanted if one in self._background_from
        ]
        wait, slowest = max(waits, key=lambda pair: pair[0], default=(timedelta(), None))
        return Decision(wait, slowest, paused=True) if wait > timedelta() else None

    def _reopen(self) -> None:
        """End the pauses in Redis of the stops that are being tried: the fleet's next call goes alone."""
        for stop in self._tried:
            kind = BucketKind.ACCOUNT if stop.subject else BucketKind.APP
            self._fleet.budgets.reopen(bucket(self._platform, stop.subject, kind, None), stop.paused_until)

    def on_accepted(self) -> None:
        """Require the end of the stops that were tried: the platform has accepted the job's calls."""
        self.new_pauses += [NewPause(stop.kind, stop.subject, None, stop.reason) for stop in self._tried]

    def _exhausted(self, decision: Decision, endpoint: str) -> Deferred:
        kind = decision.bucket.kind if decision.bucket else BucketKind.APP
        metrics.REFUSALS.labels(self._platform.value, kind.value).inc()
        owner = {BucketKind.APP: "our application", BucketKind.ACCOUNT: "this account"}.get(kind, endpoint)
        state = "was reached" if decision.paused else "is used up for the moment"
        return Deferred(
            f"The budget of {owner} at {self._platform.label} {state}.",
            kind=kind,
            endpoint=endpoint if kind is BucketKind.ENDPOINT else None,
            until=self._now() + max(decision.wait, timedelta(seconds=1)),
        )

    def on_limits(self, platform: Platform, account_id: str, limits: tuple[Limit, ...]) -> None:
        """Update the budgets with the limits of one answer; a limit without usable numbers is ignored."""
        shares: dict[Bucket, tuple[int, timedelta]] = {}
        for limit in limits:
            limited = bucket(platform, account_id, limit.kind, limit.endpoint)
            left = limit.resets_at - self._now() if limit.resets_at else None
            if limit.used_percent is not None:
                # One answer may report several shares of a bucket: the largest one is its limit.
                shares[limited] = max(
                    shares.get(limited, (0, timedelta())), (limit.used_percent, left or timedelta())
                )
            elif limit.remaining is not None and left is not None:
                self._fleet.budgets.update(limited, remaining=limit.remaining, limit=limit.limit, left=left)
                part = limit.remaining / max(limit.limit or limit.remaining, 1)
                metrics.BUDGET_REMAINING.labels(platform.value, limit.kind.value).set(part)
            elif left is not None:
                self._fleet.budgets.pause(limited, left)
        for limited, (percent, block) in shares.items():
            self._steer(limited, percent, block)

    def _steer(self, limited: Bucket, percent: int, block: timedelta) -> None:
        """Defer background work until the used share should have fallen to `FleetBudgets.steer_percent`.

        The newest share replaces older ones for the whole fleet: a smaller one shortens the wait or ends it.
        The window rolls, so the share falls with time, but slower at first if most was used recently. From
        100 % on the platform refuses every call, and counts the calls that it refuses. ``block`` is how long
        the platform says that it refuses calls.
        """
        fleet = self._fleet
        metrics.BUDGET_REMAINING.labels(limited.platform.value, limited.kind.value).set(
            max(0.0, 1 - percent / 100)
        )
        if percent < fleet.park_percent:
            block = timedelta()  # the share itself contradicts the block
        window = fleet.limits.percent_windows.get(limited.kind, timedelta(hours=1))
        above = max(percent - fleet.steer_percent, 0) / max(percent, 1)
        wait = min(window * above * _RECENT_USE, window)
        if percent >= 100 or block:
            block = block or window * (percent - fleet.park_percent) / percent
            fleet.budgets.pause(limited, block, refused=True)
        fleet.budgets.defer_background(limited, wait)
        self._background_from[limited] = self._now() + wait
        if wait > _PAUSED_FROM or limited.subject in self._background_subjects:
            self._pause_background(limited, percent, wait)

    def _pause_background(self, limited: Bucket, percent: int, wait: timedelta) -> None:
        """Require a pause of background work, in place of one that an earlier answer required."""
        reason = f"{percent} % of a limit of {limited.platform.label} are used: background work waits."
        until = self._now() + wait if wait else None
        new = NewPause(PauseKind.BACKGROUND, limited.subject, until, reason)
        others = [one for one in self.new_pauses if (one.kind, one.subject) != (new.kind, new.subject)]
        self.new_pauses = [*others, new]
        self._background_subjects.add(limited.subject)

    def on_result(self, error: RefreshError | None) -> RefreshError | None:
        """Update buckets and circuit breakers with how the job ended: ``error``, or ``None`` for success.

        Return the error to record: a refusal of the first call after a pause may mean more than it says.
        """
        if self._called is None:
            return error
        if isinstance(error, Paused) and not isinstance(error, Deferred):
            error = self._escalate(error)
        if isinstance(error, Paused) and not isinstance(error, Deferred):
            self._fleet.budgets.count_refusal(self._pause_bucket(error))
            metrics.REFUSALS.labels(self._platform.value, error.kind.value).inc()
        elif isinstance(error, TryAgain) and error.breaks:
            self._count_failure(self._called)
            return error
        else:
            self._end_probe()
        self._fleet.breakers.succeeded(self._platform, self._called)
        return error

    def on_tolerated_error(self, error: RefreshError) -> RefreshError:
        """Update the budgets with an error that does not end the job; return the error as `on_result` does.

        A refusal pauses its bucket all the same.
        """
        result = self.on_result(error) or error
        if isinstance(result, Paused) and not isinstance(result, Deferred):
            self.new_pauses.append(pause_of(self._account_id, result))
        return result

    def _escalate(self, refusal: Paused) -> RefreshError:
        """Return what a refusal means: more, if its call was the first one after a pause of its bucket."""
        if self._bucket(refusal) not in self._probing:
            return refusal
        if refusal.refused_again is not None:
            return refusal.refused_again
        return Paused(
            str(refusal),
            kind=refusal.kind,
            endpoint=refusal.endpoint,
            until=refusal.escalates_until or refusal.until,
            stop=refusal.stop,
        )

    def _pause_bucket(self, refusal: Paused) -> Bucket:
        """Pause the bucket that was refused, for the whole fleet, and return it."""
        refused = self._bucket(refusal)
        self._fleet.budgets.pause(refused, refusal.until - self._now(), refused=True)
        return refused

    def _bucket(self, refusal: Paused) -> Bucket:
        # An account's refusal pauses all of the account: the platform may mean any of its limits.
        endpoint = refusal.endpoint if refusal.kind is BucketKind.ENDPOINT else None
        return bucket(self._platform, self._account_id, refusal.kind, endpoint)

    def _count_failure(self, endpoint: str) -> None:
        open_for = self._fleet.breakers.failed(self._platform, endpoint)
        if open_for is None:
            return
        failing = bucket(self._platform, self._account_id, BucketKind.ENDPOINT, endpoint)
        self._fleet.budgets.pause(failing, open_for, refused=True)
        reason = f"Every call to {endpoint} of {self._platform.label} fails: no calls are made for a while."
        self.new_pauses.append(NewPause(PauseKind.BREAKER, endpoint, self._now() + open_for, reason))

    def _end_probe(self) -> None:
        if self._probing:
            self._fleet.budgets.probe_succeeded(self._probing)
            self._probing = ()
