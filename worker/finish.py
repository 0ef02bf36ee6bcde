"""The end of a refresh: pauses are placed, outcomes judged, recorded in one transaction, and announced."""

from collections.abc import Sequence
from datetime import datetime

import structlog
from sqlalchemy import Connection

from shared.accounts import states
from shared.database import DATABASE_AWAY
from shared.freshness.signals import grows_again
from shared.observability import failpoints
from shared.operations.signals import observe_siblings
from shared.vocabulary import AccountState, PauseKind
from worker.announce import announce
from worker.context import RefreshRun, WorkerContext
from worker.credentials import tokens
from worker.credentials.tokens import StoredAccount
from worker.errors import AccountInactive, Misconfigured, Reauthorize, RefreshError, TryAgain
from worker.fetch import FetchResult
from worker.outcomes.errors import judge_error, misconfigured_wait
from worker.outcomes.outcome import Outcome, Policy
from worker.outcomes.readings import judge_reading
from worker.outcomes.stopped import quarantined
from worker.quota import defer, paid_reads
from worker.quota.pause import Deferred, NewPause
from worker.readings import Account
from worker.record import record
from worker.timeline import log_attempts

_log = structlog.get_logger(__name__)


def finish(run: RefreshRun, result: FetchResult, context: WorkerContext) -> None:
    """Record every outcome of a refresh, and announce those that passed the fence."""
    stored, account = result.stored, result.stored.account
    # Committed before the outcomes: whoever writes a pause must not wait for rows.
    pauses = (*result.pauses, *_stop(result.error, run.policy, context.clock.now()))
    error = defer.place(context.engine, account, result.error, pauses)
    blocked = None
    with context.engine.begin() as connection:
        now = context.clock.now()
        if isinstance(error, Reauthorize):
            error = _standing(connection, stored, error)
        elif isinstance(error, Deferred):
            error = defer.bounded(connection, error, now)
        judged = _judge(run, result, error, context)
        recorded = record(connection, account.workspace_id, judged)
        log_attempts(connection, recorded, run, context)
        if isinstance(error, Reauthorize):
            blocked = states.require_reconnect(
                connection,
                account.workspace_id,
                account.account_id,
                str(error),
                token_version=stored.token_version,
            )
        if result.reservation:
            paid_reads.settle(connection, result.reservation, (*result.recorded, *recorded), now)
        failpoints.hit("recorded")
    failpoints.hit("committed")
    announce(account, recorded, fenced=len(judged) - len(recorded))
    context.predictions.count(context.engine, account.platform, recorded)
    _report_growth(account, recorded, context)
    if blocked is not None:
        _log.warning("requires_reconnect", account_id=account.account_id, rows=blocked, detail=str(error))


def _report_growth(account: Account, recorded: Sequence[Outcome], context: WorkerContext) -> None:
    """Take posts that grow again as signals for the same posts on other platforms; a lost one is harmless."""
    grown = [one.row.publication.id for one in recorded if grows_again(one.row.freshness, one.freshness)]
    if not grown:
        return
    try:
        with context.engine.begin() as connection:
            observe_siblings(connection, context.settings, account.workspace_id, grown)
    except DATABASE_AWAY as error:
        _log.warning("growth_not_reported", rows=len(grown), detail=type(error.orig).__name__)


def _stop(error: RefreshError | None, policy: Policy, now: datetime) -> tuple[NewPause, ...]:
    """Return the stop of a platform that refuses our whole application: it lasts until the next retry."""
    if not isinstance(error, Misconfigured) or not error.application:
        return ()
    until = now + misconfigured_wait(policy)
    return (NewPause(PauseKind.MISCONFIGURED, "", until, str(error)),)


def _standing(connection: Connection, stored: StoredAccount, refusal: Reauthorize) -> RefreshError:
    """Return a refusal of the account's tokens, or what replaces it when the account has changed meanwhile.

    Locks the account until the transaction ends. Accounts are locked before rows, or this could deadlock.
    """
    states.lock(connection, [stored.account.account_id])
    current = tokens.state(connection, stored.account.account_id)
    if current is not None and current.state is not AccountState.ACTIVE:
        return AccountInactive(current.reason)
    if current is None or current.token_version != stored.token_version:
        return TryAgain("The account was reconnected meanwhile.")
    return refusal


def _judge(
    run: RefreshRun, result: FetchResult, error: RefreshError | None, context: WorkerContext
) -> list[Outcome]:
    """Return the outcome of every row; a refusal of the whole account blocks the rest without one."""
    judged = [quarantined(row) for row in run.poison]
    judged += [judge_reading(one.row, one.reading, run.policy, one.read_at) for one in result.readings]
    if isinstance(error, Reauthorize):
        return judged
    now = context.clock.now()
    judged += [judge_error(row, failure, run.policy, now) for row, failure in result.failed]
    reason = error or TryAgain("The adapter gave no reading for this post.")
    return judged + [judge_error(row, reason, run.policy, now) for row in result.rest]
