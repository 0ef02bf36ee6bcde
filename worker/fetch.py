"""The fetch of one refresh: the adapter runs behind budgets and lease, and what it learned is returned."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from shared.batches import BATCH_SIZE
from shared.quota.spending import Reservation
from shared.vocabulary import BucketKind, Platform
from worker.adapters.refused_metrics import RefusedMetricMemory
from worker.announce import announce
from worker.claims import StartedRow, extend
from worker.context import RefreshRun, WorkerContext
from worker.credentials import tokens
from worker.credentials.renewal import renew
from worker.credentials.tokens import StoredAccount
from worker.errors import ClaimsLost, Reauthorize, RefreshError, TryAgain
from worker.http.upstream import JobUpstream
from worker.lease import Lease
from worker.outcomes.errors import judge_error
from worker.outcomes.outcome import Outcome
from worker.outcomes.readings import judge_reading
from worker.quota.gate import JobBudget
from worker.quota.pause import Deferred, NewPause
from worker.readings import Reading
from worker.record import record
from worker.timeline import log_attempts

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RowReading:
    """A row and the reading that an adapter returned for it."""

    row: StartedRow
    reading: Reading
    read_at: datetime
    """Database time."""


@dataclass(frozen=True, slots=True)
class FetchResult:
    """Everything that a refresh learned and has not recorded yet."""

    stored: StoredAccount
    """The account with the tokens that were used last."""
    readings: tuple[RowReading, ...] = ()
    failed: tuple[tuple[StartedRow, RefreshError], ...] = ()
    """The rows of a call that failed alone, and its error."""
    rest: tuple[StartedRow, ...] = ()
    """The other rows without a reading."""
    error: RefreshError | None = None
    """What ended the fetch early, or prevented it; it holds for the rest."""
    pauses: tuple[NewPause, ...] = ()
    """The pauses that the platform's answers require, without the one of ``error``."""
    reservation: Reservation | None = None
    """Reads that cost money, reserved for this job."""
    recorded: tuple[Outcome, ...] = ()
    """The outcomes that were recorded while the fetch was under way."""


def fetch(run: RefreshRun, reservation: Reservation | None, context: WorkerContext) -> FetchResult:
    """Fetch the rows of a run call by call, renewing the account's tokens at most once.

    When the lease is extended between two calls, the readings so far are recorded with it: a slow platform
    never costs the rows that it has answered.
    """
    return _Fetch(run, reservation, context).run()


class _Fetch:
    """The state of one fetch; nothing of it outlives the `FetchResult` that `run` returns."""

    def __init__(self, run: RefreshRun, reservation: Reservation | None, context: WorkerContext) -> None:
        account = run.stored.account
        self._context = context
        self._run = run
        self._policy = run.policy
        self._reservation = reservation
        self._stored = run.stored
        self._waiting = {row.publication.id: row for row in run.rows}
        self._readings: list[RowReading] = []
        self._failed: list[tuple[StartedRow, RefreshError]] = []
        self._recorded: list[Outcome] = []
        self._called = False
        self._budget = JobBudget(
            context.budgets,
            account.account_id,
            account.platform,
            run.lane,
            run.pauses,
            now=context.clock.now,
            sleep=self._sleep,
        )
        self._lease = Lease(
            context.settings.lease,
            self._record_progress,
            lambda: bool(self._readings),
            context.clock.monotonic,
            run.lease_began,
        )

    def run(self) -> FetchResult:
        error = self._budget.on_result(self._fetch())
        if error is None and (self._readings or self._recorded):
            self._budget.on_accepted()
        return FetchResult(
            stored=self._stored,
            readings=tuple(self._readings),
            failed=tuple(self._failed),
            rest=tuple(self._waiting.values()),
            error=error,
            pauses=tuple(self._budget.new_pauses),
            reservation=self._reservation,
            recorded=tuple(self._recorded),
        )

    def _fetch(self) -> RefreshError | None:
        """Read every row; return the error that ended this early."""
        try:
            may_renew = not self._renew_early()
            try:
                self._read()
            except Reauthorize as refusal:
                if not (refusal.renewable and may_renew):
                    raise
                self._renew()
                self._read()
        except RefreshError as error:
            return error
        except Exception:  # noqa: BLE001 - a bug of one adapter must not keep its rows from being recorded
            account = self._stored.account
            _log.exception("adapter_bug", account_id=account.account_id, platform=account.platform.value)
            return TryAgain("An internal error occurred; it is in the log for the operators.")
        return None

    def _read(self) -> None:
        account = self._stored.account
        upstream = JobUpstream(
            self._context.client,
            account.platform,
            account.account_id,
            RefusedMetricMemory(self._context.engine, account.platform),
            gate=self._await_call,
            sink=self._budget.on_limits,
        )
        size = BATCH_SIZE[account.platform]
        requested = list(self._waiting)
        failed_before = False
        for first in range(0, len(requested), size):
            self._lease.keep()
            # An extension of the lease drops rows that were lost.
            rows = [row for one in requested[first : first + size] if (row := self._waiting.get(one))]
            last = first + size >= len(requested)
            try:
                self._read_batch(upstream, rows)
            except TryAgain as error:
                # A single failed call may be the fault of one of its posts; two in a row are the platform's.
                if failed_before or last or error.after:
                    raise
                self._set_aside(rows, error)
                failed_before = True
            else:
                failed_before = False

    def _read_batch(self, upstream: JobUpstream, rows: Sequence[StartedRow]) -> None:
        """Read the rows of one call; none may be left of them."""
        if not rows:
            return
        account = self._stored.account
        publications = [row.publication for row in rows]
        for reading in self._context.adapters[account.platform].fetch(upstream, account, publications):
            row = self._waiting.pop(reading.publication_id, None)
            if row is not None:
                self._readings.append(RowReading(row, reading, self._context.clock.now()))

    def _set_aside(self, rows: Sequence[StartedRow], error: TryAgain) -> None:
        """Let a failed call end its own rows alone."""
        self._budget.on_tolerated_error(error)
        for row in rows:
            if self._waiting.pop(row.publication.id, None) is not None:
                self._failed.append((row, error))

    def _await_call(self, platform: Platform, account_id: str, endpoint: str, cost: int, /) -> None:
        self._lease.keep()
        if self._called and self._context.lending.must_return():
            raise self._thread_returned()
        self._budget.acquire(platform, account_id, endpoint, cost)
        self._called = True
        self._lease.keep()  # the budgets may have made the job wait

    def _sleep(self, seconds: float) -> None:
        if self._context.lending.sleep(seconds):
            raise self._thread_returned()

    def _thread_returned(self) -> Deferred:
        """Return the error that ends a job in a lent thread: its other rows are due again at once."""
        now = self._context.clock.now()
        return Deferred("A job that somebody waits for takes this thread.", kind=BucketKind.APP, until=now)

    def _renew_early(self) -> bool:
        """Renew tokens that end soon, and return whether that was tried.

        Where it fails, the tokens are used as long as they hold.
        """
        now, expires_at = self._context.clock.now(), self._stored.account.token_expires_at
        if not tokens.ends_soon(self._stored.account, now):
            return False
        try:
            self._renew()
        except RefreshError as error:
            if isinstance(error, Reauthorize) or expires_at is None or expires_at <= now:
                raise
            self._budget.on_tolerated_error(error)
            account_id = self._stored.account.account_id
            _log.warning("early_renewal_failed", account_id=account_id, detail=str(error))
        return True

    def _renew(self) -> None:
        self._lease.keep()
        self._stored = renew(self._stored, self._budget, self._context)

    def _record_progress(self) -> None:
        """Record the readings so far and extend the lease of the other rows, in one transaction.

        Rows whose claim no longer stands are dropped. Raises `worker.errors.ClaimsLost` when none is left.
        """
        account = self._stored.account
        now = self._context.clock.now()
        outcomes = [judge_reading(one.row, one.reading, self._policy, one.read_at) for one in self._readings]
        outcomes += [judge_error(row, error, self._policy, now) for row, error in self._failed]
        with self._context.engine.begin() as connection:
            owned = extend(
                connection,
                self._waiting.values(),
                [outcome.row for outcome in outcomes],
                self._context.settings.lease,
            )
            recorded = record(connection, account.workspace_id, outcomes)
            log_attempts(connection, recorded, self._run, self._context)
        lost = self._waiting.keys() - owned
        announce(account, recorded, fenced=len(outcomes) - len(recorded) + len(lost))
        self._recorded += recorded
        self._readings.clear()
        self._failed.clear()
        for publication_id in lost:
            del self._waiting[publication_id]
        if not self._waiting:
            raise ClaimsLost("Other workers have claimed the rows of this job.")
