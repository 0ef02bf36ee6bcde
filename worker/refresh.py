"""The story of one refresh: start the claims, look at pauses, mind budgets and token, fetch, record.

Callable without a queue: `actors.py` is only a shim. Every way out of here writes what happened and when the
rows run next; what cannot be written (database down, process killed) is covered by the lease.
"""

from collections.abc import Callable
from datetime import datetime

import structlog
from sqlalchemy import Connection

from shared.freshness import Freshness
from shared.observability import failpoints
from shared.quota import pauses, spending
from shared.quota.spending import BudgetExhausted
from shared.refresh_queue import RefreshJob
from shared.settings import Settings
from shared.vocabulary import AccountState, BucketKind, Lane, Platform
from worker import outcomes
from worker.adapters.contract import Adapter
from worker.claims import start
from worker.context import Read, WorkerContext, budget_of, pause_of_whole_job
from worker.credentials import tokens
from worker.credentials.renewal import renew
from worker.credentials.tokens import StoredAccount
from worker.errors import Misconfigured, Reauthorize, RefreshError, TryAgain
from worker.finish import finish, record_progress
from worker.http.upstream import JobUpstream
from worker.lease import Lease
from worker.outcomes import Policy
from worker.quota import paid_reads
from worker.quota.gate import JobBudget, OverBudget
from worker.refused_metrics import FleetMemory

_log = structlog.get_logger(__name__)


def refresh(job: RefreshJob, context: WorkerContext) -> None:
    """Refresh the publications of one job and record every outcome."""
    failpoints.hit("taken")
    began = context.clock.monotonic()
    with context.engine.begin() as connection:
        started = start(connection, job, context.settings.lease)
    if started is None:
        _log.debug("nothing_to_refresh", account_id=job.account_id)
        return
    context.clock.set(started.at)
    # After the start is committed: what goes wrong from here on is recorded, and not undone with the start.
    with context.engine.begin() as connection:
        stored = tokens.load(connection, job.account_id, context.vault)
        paused = _pauses(connection, stored) if stored else []
    if stored is None:
        _log.warning("account_gone", account_id=job.account_id)
        return
    policy = _policy(context.settings, stored.account.platform)
    lane = Lane.INTERACTIVE if any(row.priority for row in started.rows) else Lane.BACKGROUND
    pause = pause_of_whole_job(paused, lane)
    budget = budget_of(context, stored.account, lane, paused)
    read = Read({row.publication.id: row for row in started.rows}, budget)
    _set_suspects_aside(read, policy)
    failpoints.hit("started", read.waiting)
    if stored.state is not AccountState.ACTIVE:
        read.block(stored.state_reason)
    elif stored.unopened:
        read.ended_by = _unopened(stored)
    elif pause:
        read.ended_by = OverBudget(
            pause.reason, kind=BucketKind.APP, until=pause.paused_until, pause=pause.key
        )
    elif read.waiting and _can_pay(read, stored.account.platform, context):
        account = stored.account
        lease = Lease(
            context.settings.lease,
            lambda: record_progress(read, account, context),
            context.clock.monotonic,
            began,
        )
        stored = _read(read, stored, policy, lease, context)
    failpoints.hit("fetched")
    finish(read, stored, policy, context)


def _unopened(stored: StoredAccount) -> Misconfigured:
    _log.error(
        "operator_needed",
        platform=stored.account.platform.value,
        account_id=stored.account.account_id,
        detail=stored.unopened,
    )
    return Misconfigured(str(stored.unopened), warning="the stored authorization cannot be opened")


def _can_pay(read: Read, platform: Platform, context: WorkerContext) -> bool:
    """Reserve what the job's reads may cost; when the budget is exhausted the rows are deferred."""
    now = context.clock.now()
    reservation = paid_reads.reserve(context.engine, context.settings, platform, read.waiting.values(), now)
    if isinstance(reservation, BudgetExhausted):
        read.ended_by = OverBudget(
            reservation.sentence,
            kind=BucketKind.APP,
            until=reservation.until,
            pause=spending.PAUSE if reservation.spent else None,
        )
        return False
    read.reservation = reservation
    return True


def _pauses(connection: Connection, stored: StoredAccount) -> list[pauses.PauseInForce]:
    account_id = stored.account.account_id
    return pauses.pauses_of_accounts(connection, [account_id], every_endpoint=True).get(account_id, [])


def _policy(settings: Settings, platform: Platform) -> Policy:
    return Policy(
        freshness=Freshness.parse(settings.freshness),
        first_retry=settings.first_retry,
        missing_confirm=settings.missing_confirm(platform),
        quarantine_starts=settings.quarantine_starts,
    )


def _set_suspects_aside(read: Read, policy: Policy) -> None:
    for row in list(read.waiting.values()):
        if row.unfinished > policy.quarantine_starts:
            read.judged.append(outcomes.quarantined(read.waiting.pop(row.publication.id)))


def _read(
    read: Read, stored: StoredAccount, policy: Policy, lease: Lease, context: WorkerContext
) -> StoredAccount:
    """Fetch what waits, renewing the tokens at most once; return the account as it was used last."""
    platform, budget = stored.account.platform, read.budget
    adapter = context.adapters[platform]

    def gate(platform: Platform, account_id: str, endpoint: str, cost: int, /) -> None:
        lease.keep()
        budget.ask(platform, account_id, endpoint, cost)
        lease.keep()  # the budgets may have made the job wait

    upstream = JobUpstream(
        context.client,
        platform,
        stored.account.account_id,
        FleetMemory(context.engine, platform),
        gate=gate,
        sink=budget.heard,
    )

    def renewed() -> StoredAccount:
        lease.keep()
        return renew(stored, budget, context)

    try:
        may_renew = True
        if tokens.ends_soon(stored.account, context.clock.now()):
            stored, may_renew = _renewed_early(stored, budget, renewed, context.clock.now()), False
        try:
            _fetch(read, adapter, upstream, stored, policy, context)
        except Reauthorize as refusal:
            if not (refusal.renewable and may_renew):
                raise
            stored = renewed()
            _fetch(read, adapter, upstream, stored, policy, context)
    except RefreshError as error:
        read.ended_by = error
    except Exception:  # noqa: BLE001 - a bug of one adapter must not keep its rows from being recorded
        _log.exception("adapter_bug", account_id=stored.account.account_id, platform=platform.value)
        read.ended_by = TryAgain("An error of ours; it is logged and operators see it.")
    read.ended_by = budget.ended(read.ended_by)
    return stored


def _renewed_early(
    stored: StoredAccount, budget: JobBudget, renewed: Callable[[], StoredAccount], now: datetime
) -> StoredAccount:
    """Return the account with new tokens, or as it is when they cannot be had but the old ones hold."""
    try:
        return renewed()
    except RefreshError as error:
        expires_at = stored.account.token_expires_at
        if isinstance(error, Reauthorize) or expires_at is None or expires_at <= now:
            raise
        budget.set_aside(error)
        _log.warning("early_renewal_failed", account_id=stored.account.account_id, detail=str(error))
        return stored


def _fetch(
    read: Read,
    adapter: Adapter,
    upstream: JobUpstream,
    stored: StoredAccount,
    policy: Policy,
    context: WorkerContext,
) -> None:
    publications = [row.publication for row in read.waiting.values()]
    for reading in adapter.fetch(upstream, stored.account, publications):
        row = read.waiting.pop(reading.publication_id, None)
        if row is not None:
            read.judged.append(outcomes.judge(row, reading, policy, context.clock.now()))
