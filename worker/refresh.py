"""One refresh from start to end: start the claims, fetch, record; callable without a queue.

The data flows one way: `_start` returns a `RefreshRun`, `fetch` returns what the platform answered as a
`FetchResult`, and `finish` judges, records and announces it. Every exit records an outcome and the next run
of each row; where that is impossible (the database is down, the process is killed) the lease expires.
"""

import secrets
from datetime import datetime, timedelta

import structlog

from shared.freshness.plan import Planner
from shared.freshness.policy import Freshness
from shared.freshness.priors import parse_priors
from shared.observability import failpoints
from shared.quota import pauses, spending
from shared.quota.spending import BudgetExhausted
from shared.refresh_queue import RefreshJob
from shared.settings import Settings
from shared.vocabulary import AccountState, BucketKind, Lane, Platform
from worker.claims import start
from worker.context import RefreshRun, WorkerContext
from worker.credentials import tokens
from worker.credentials.tokens import StoredAccount
from worker.errors import AccountInactive, Misconfigured, RefreshError
from worker.fetch import FetchResult, fetch
from worker.finish import finish
from worker.outcomes.outcome import Policy
from worker.quota import paid_reads
from worker.quota.pause import Deferred, pause_of_whole_job

_log = structlog.get_logger(__name__)


def refresh(job: RefreshJob, context: WorkerContext) -> None:
    """Refresh the publications of one job and record every outcome."""
    request_id = secrets.token_hex(8)
    with structlog.contextvars.bound_contextvars(request_id=request_id):
        failpoints.hit("received")
        run = _start(job, context, request_id)
        if run is None:
            return
        failpoints.hit("started", [row.publication.id for row in run.rows])
        result = _fetch(run, context)
        failpoints.hit("fetched")
        finish(run, result, context)


def _start(job: RefreshJob, context: WorkerContext, request_id: str) -> RefreshRun | None:
    """Start the job's claims; return ``None`` when none of them stands or the account is gone."""
    began = lease_began = context.clock.monotonic()
    # Each statement commits by itself: an error after the first is recorded, and must not undo the start.
    with context.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        asked_at = context.clock.monotonic()
        if started := start(connection, job, context.settings.lease):
            stored = tokens.load(connection, job.account_id, context.vault)
            in_force = pauses.pauses_of_accounts(connection, [job.account_id], of_job=True)
    if started is None:
        _log.debug("nothing_to_refresh", account_id=job.account_id)
        return None
    context.clock.set(started.at, asked_at)
    lease = context.settings.lease
    lease_began -= max(lease - (started.leased_until - started.at), timedelta()).total_seconds()
    if stored is None:
        _log.warning("account_gone", account_id=job.account_id)
        return None
    policy = _policy(context.settings, stored)
    poison = tuple(row for row in started.rows if row.unfinished > policy.quarantine_starts)
    return RefreshRun(
        stored=stored,
        rows=tuple(row for row in started.rows if row not in poison),
        poison=poison,
        pauses=tuple(in_force.get(job.account_id, ())),
        lane=Lane.INTERACTIVE if any(row.priority for row in started.rows) else Lane.BACKGROUND,
        policy=policy,
        request_id=request_id,
        began=began,
        lease_began=lease_began,
    )


def _policy(settings: Settings, stored: StoredAccount) -> Policy:
    platform = stored.account.platform
    prior = parse_priors(settings.freshness_priors)[platform]
    if stored.fitted is not None:
        prior = stored.fitted.applied_to(prior)
    return Policy(
        freshness=Planner(Freshness.parse(settings.freshness), platform, prior, _pressure(stored)),
        first_retry=settings.first_retry,
        missing_confirm=settings.missing_confirm(platform),
        quarantine_starts=settings.quarantine_starts,
    )


def _pressure(stored: StoredAccount) -> float:
    """Return the quota pressure on an account; where calls cost money, it is never below 1."""
    pressure = 1.0 if stored.pressure is None else stored.pressure
    return max(pressure, 1.0) if stored.account.platform is Platform.X else pressure


def _fetch(run: RefreshRun, context: WorkerContext) -> FetchResult:
    """Fetch the rows, or return why the platform is not called for them."""
    if error := _obstacle(run, context.clock.now()):
        return FetchResult(run.stored, rest=run.rows, error=error)
    if not run.rows:
        return FetchResult(run.stored)
    reservation = paid_reads.reserve(
        context.engine, context.settings, run.stored.account.platform, run.rows, context.clock.now()
    )
    if isinstance(reservation, BudgetExhausted):
        pause = spending.PAUSE if reservation.spent else None
        deferred = Deferred(reservation.sentence, kind=BucketKind.APP, until=reservation.until, pause=pause)
        return FetchResult(run.stored, rest=run.rows, error=deferred)
    return fetch(run, reservation, context)


def _obstacle(run: RefreshRun, now: datetime) -> RefreshError | None:
    """Return what forbids every call for this account now, if anything does."""
    stored = run.stored
    if stored.state is not AccountState.ACTIVE:
        return AccountInactive(stored.state_reason)
    if stored.unopened:
        _log.error(
            "operator_needed",
            platform=stored.account.platform.value,
            account_id=stored.account.account_id,
            detail=stored.unopened,
        )
        return Misconfigured(stored.unopened, warning="the stored authorization cannot be opened")
    if pause := pause_of_whole_job(run.pauses, run.lane, now):
        return Deferred(pause.reason, kind=BucketKind.APP, until=pause.paused_until, pause=pause.key)
    return None
