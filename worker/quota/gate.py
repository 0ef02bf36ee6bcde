"""The budgets as one job meets them: asked before each call, told what each answer said and how it ended.

`JobBudget.ask` is the job's `worker.http.upstream.Gate`, `JobBudget.heard` its `worker.http.upstream.Sink`.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from shared.observability import metrics
from shared.quota.budgets import Budgets, Decision
from shared.quota.limits import Bucket, Limits, bucket
from shared.quota.pauses import PauseInForce, PauseKey
from shared.redis_client import RedisClient
from shared.settings import Settings
from shared.vocabulary import BucketKind, Lane, PauseKind, PauseSubject, Platform
from worker.errors import Paused, RefreshError, TryAgain
from worker.quota.breaker import Breakers
from worker.readings import Limit

_LEAST_NAP: Final = timedelta(milliseconds=2)
_PATIENCE_SHARE: Final = 6  # of the lease
_NOTED: Final = timedelta(minutes=5)
"""Background waits that are longer are placed where claims see them: their rows stay due, and one of them
asks now and then whether the share has fallen."""
_USED_OF_LATE: Final = 2  # how many times slower than evenly a share may fall


class OverBudget(Paused):
    """Our own budgets, or a pause that stands already, say wait: nothing was refused, nothing is parked.

    ``pause`` is the pause that stands. ``None``: a budget in Redis is used up or parked.
    """

    def __init__(
        self,
        sentence: str,
        *,
        kind: BucketKind,
        until: datetime,
        endpoint: str | None = None,
        pause: PauseKey | None = None,
    ) -> None:
        super().__init__(sentence, kind=kind, until=until, endpoint=endpoint)
        self.pause = pause


@dataclass(frozen=True, slots=True)
class NewPause:
    """A pause to be written where claims see it."""

    kind: PauseKind
    subject: str
    until: datetime | None
    """``None``: a pause that stands ends, as the platform has room again."""
    reason: str


def pause_of(account_id: str, refusal: Paused) -> NewPause:
    """Return the pause that a refusal of one of this account's calls asks for."""
    subjects = {BucketKind.APP: "", BucketKind.ACCOUNT: account_id}
    subject = subjects.get(refusal.kind, refusal.endpoint or "")
    return NewPause(PauseKind(refusal.kind.value), subject, refusal.until, str(refusal))


@dataclass(frozen=True, slots=True)
class FleetBudgets:
    """What a worker process holds of the fleet's budgets for all of its jobs."""

    budgets: Budgets
    breakers: Breakers
    limits: Limits
    steer_percent: int
    park_percent: int
    patience: timedelta
    """How long a job may wait for its budgets in all, holding its thread, before it gives its rows back."""

    @classmethod
    def of(cls, settings: Settings, client: RedisClient) -> "FleetBudgets":
        """Return them as the settings want them."""
        return cls(
            Budgets(
                client,
                interactive_share=settings.interactive_share,
                offline_calls_per_minute=settings.offline_calls_per_minute,
            ),
            Breakers(
                client,
                failures=settings.breaker_failures,
                open_for=timedelta(seconds=settings.breaker_seconds),
                longest=max(settings.lease, timedelta(seconds=settings.breaker_seconds)),
            ),
            Limits.parse(settings.limits),
            settings.meta_steer_percent,
            settings.meta_park_percent,
            settings.lease / _PATIENCE_SHARE,
        )


class JobBudget:
    """One job's way past the budgets. ``pauses``: those that concern its account at its start."""

    def __init__(
        self,
        fleet: FleetBudgets | None,
        account_id: str,
        platform: Platform,
        lane: Lane,
        pauses: Sequence[PauseInForce],
        *,
        now: Callable[[], datetime],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.new_pauses: list[NewPause] = []
        """What claims must be told, in the transaction that ends the job."""
        self._fleet = fleet
        self._account_id = account_id
        self._platform = platform
        self._lane = lane
        self._endpoints = {
            one.subject: one for one in reversed(pauses) if one.kind.subject is PauseSubject.ENDPOINT
        }
        self._background = {one.subject for one in pauses if one.kind.background_only}
        self._now = now
        self._sleep = sleep
        self._patience = fleet.patience if fleet else timedelta()
        self._probing: tuple[Bucket, ...] = ()
        self._asked: str | None = None

    def ask(self, platform: Platform, account_id: str, endpoint: str, cost: int, /) -> None:
        """Return when the call may be made; raise `OverBudget` when that would take too long."""
        if pause := self._endpoints.get(endpoint):
            raise OverBudget(
                pause.reason,
                kind=BucketKind.ENDPOINT,
                endpoint=endpoint,
                until=pause.paused_until,
                pause=pause.key,
            )
        if self._fleet is None:
            return
        self._settle_probe()  # the job goes on, so its call before was not refused
        wanted = self._fleet.limits.of_call(platform, account_id, endpoint)
        while (decision := self._fleet.budgets.reserve(wanted, cost, self._lane)).wait:
            if decision.paused or decision.wait > self._patience:
                raise self._over_budget(decision, endpoint)
            # Others wait for the same: who comes late by chance does not collide with them again.
            nap = max(decision.wait * random.uniform(1, 1.3), _LEAST_NAP)  # noqa: S311 - spreads, protects nothing
            self._patience -= nap
            self._sleep(nap.total_seconds())
        self._asked, self._probing = endpoint, decision.probes
        if decision.left:
            tightest, part = decision.left
            metrics.BUDGET_REMAINING.labels(platform.value, tightest.kind.value).set(part)

    def _over_budget(self, decision: Decision, endpoint: str) -> OverBudget:
        short = decision.bucket
        kind = short.kind if short else BucketKind.APP
        metrics.REFUSALS.labels(self._platform.value, kind.value).inc()
        whose = {BucketKind.APP: "our application", BucketKind.ACCOUNT: "this account"}.get(kind, endpoint)
        state = "was reached" if decision.paused else "is used up for the moment"
        return OverBudget(
            f"The budget of {whose} at {self._platform.label} {state}.",
            kind=kind,
            endpoint=endpoint if kind is BucketKind.ENDPOINT else None,
            until=self._now() + max(decision.wait, timedelta(seconds=1)),
        )

    def heard(self, platform: Platform, account_id: str, limits: tuple[Limit, ...]) -> None:
        """Take what one answer said of its limits; what makes no sense is left out."""
        if self._fleet is None:
            return
        shares: dict[Bucket, tuple[int, timedelta]] = {}
        for limit in limits:
            named = bucket(platform, account_id, limit.kind, limit.endpoint)
            left = limit.resets_at - self._now() if limit.resets_at else None
            if limit.used_percent is not None:
                # One answer may tell several shares of a bucket: the largest one is its limit.
                shares[named] = max(
                    shares.get(named, (0, timedelta())), (limit.used_percent, left or timedelta())
                )
            elif limit.remaining is not None and left is not None:
                self._fleet.budgets.update(named, remaining=limit.remaining, limit=limit.limit, left=left)
                part = limit.remaining / max(limit.limit or limit.remaining, 1)
                metrics.BUDGET_REMAINING.labels(platform.value, limit.kind.value).set(part)
            elif left is not None:
                self._fleet.budgets.pause(named, left)
        for named, (percent, told) in shares.items():
            self._steer(self._fleet, named, percent, told)

    def _steer(self, fleet: FleetBudgets, named: Bucket, percent: int, told: timedelta) -> None:
        """Hold background back until the used share should have fallen to where it is steered.

        The newest share holds, for the whole fleet: a smaller one shortens the wait or ends it. The window
        rolls, so the share falls with time, but slower at first if most was used of late. From 100 % on the
        platform refuses everybody, and counts what it refuses.
        """
        metrics.BUDGET_REMAINING.labels(named.platform.value, named.kind.value).set(
            max(0.0, 1 - percent / 100)
        )
        if percent < fleet.park_percent:
            told = timedelta()  # a block that the share itself denies is not believed
        window = fleet.limits.percent_windows.get(named.kind, timedelta(hours=1))
        above = max(percent - fleet.steer_percent, 0) / max(percent, 1)
        falls_in = min(window * above * _USED_OF_LATE, window)
        if percent >= 100 or told:
            fleet.budgets.pause(
                named, told or window * (percent - fleet.park_percent) / percent, refused=True
            )
        fleet.budgets.defer_background(named, falls_in)
        if falls_in > _NOTED or named.subject in self._background:
            self._note(named, percent, falls_in)

    def _note(self, named: Bucket, percent: int, falls_in: timedelta) -> None:
        """Have background's wait placed where claims see it, in place of what an answer before said of it."""
        reason = f"{percent} % of a limit of {named.platform.label} are used: background work waits."
        until = self._now() + falls_in if falls_in else None
        new = NewPause(PauseKind.BACKGROUND, named.subject, until, reason)
        self.new_pauses = [
            one for one in self.new_pauses if (one.kind, one.subject) != (new.kind, new.subject)
        ] + [new]
        self._background.add(named.subject)

    def ended(self, error: RefreshError | None) -> RefreshError | None:
        """Take how the read ended: park what was refused, count for the breaker, clear what was probed.

        Return the error as it stands: a refusal means more when it met the first call after a pause.
        """
        if self._fleet is None or self._asked is None:
            return error
        if isinstance(error, Paused) and not isinstance(error, OverBudget):
            error = self._escalated(error)
        if isinstance(error, Paused) and not isinstance(error, OverBudget):
            self._refused(error)
        elif isinstance(error, TryAgain) and error.breaks:
            self._failed(self._fleet, self._asked)
            return error
        else:
            self._settle_probe()
        self._fleet.breakers.succeeded(self._platform, self._asked)
        return error

    def _escalated(self, error: Paused) -> RefreshError:
        """Return what a refusal means: more, where its call was the first one after a pause of its bucket."""
        if self._bucket(error) not in self._probing:
            return error
        if error.refused_again is not None:
            return error.refused_again
        return Paused(
            str(error),
            kind=error.kind,
            endpoint=error.endpoint,
            until=error.escalates_until or error.until,
            operator_alert=error.operator_alert,
        )

    def set_aside(self, error: RefreshError) -> RefreshError:
        """Take an error that does not end the job: a refusal parks its bucket and pauses it all the same.

        Return the error as it stands, as `ended` does.
        """
        stands = self.ended(error) or error
        if isinstance(stands, Paused) and not isinstance(stands, OverBudget):
            self.new_pauses.append(pause_of(self._account_id, stands))
        return stands

    def _refused(self, error: Paused) -> None:
        """Park the bucket that was refused, for the whole fleet, at once."""
        if self._fleet is not None:
            self._fleet.budgets.count_refusal(self._park(self._fleet, error))
            metrics.REFUSALS.labels(self._platform.value, error.kind.value).inc()

    def prolonged(self, error: Paused) -> None:
        """Take that the refusal parks its bucket for longer than it said itself."""
        if self._fleet is not None:
            self._park(self._fleet, error)

    def _park(self, fleet: FleetBudgets, error: Paused) -> Bucket:
        named = self._bucket(error)
        fleet.budgets.pause(named, error.until - self._now(), refused=True)
        return named

    def _bucket(self, error: Paused) -> Bucket:
        # An account's refusal parks all of it: the platform may mean any of its limits.
        endpoint = error.endpoint if error.kind is BucketKind.ENDPOINT else None
        return bucket(self._platform, self._account_id, error.kind, endpoint)

    def _failed(self, fleet: FleetBudgets, endpoint: str) -> None:
        open_for = fleet.breakers.failed(self._platform, endpoint)
        if open_for is None:
            return
        named = bucket(self._platform, self._account_id, BucketKind.ENDPOINT, endpoint)
        fleet.budgets.pause(named, open_for, refused=True)
        reason = f"{self._platform.label} only fails at {endpoint}: it is left alone for a while."
        self.new_pauses.append(NewPause(PauseKind.BREAKER, endpoint, self._now() + open_for, reason))

    def _settle_probe(self) -> None:
        if self._fleet is not None and self._probing:
            self._fleet.budgets.probe_succeeded(self._probing)
            self._probing = ()
