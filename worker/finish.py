"""How a refresh ends: one transaction with the refusal that ended it, every outcome, and what it cost.

A long job records in between what it has read by then: a slow platform never costs what it has answered.
"""

import logging
from collections.abc import Sequence

import structlog
from sqlalchemy import Connection

from shared.accounts import states
from shared.observability import failpoints, metrics
from shared.outcome_kinds import OutcomeKind
from shared.vocabulary import AccountState
from worker import outcomes
from worker.claims import extend
from worker.context import Read, WorkerContext
from worker.credentials import tokens
from worker.credentials.tokens import StoredAccount
from worker.errors import ClaimsLost, Paused, Reauthorize, RefreshError, TryAgain
from worker.outcomes import Outcome, Policy
from worker.quota import defer, paid_reads
from worker.quota.gate import OverBudget
from worker.readings import Account
from worker.record import record

_log = structlog.get_logger(__name__)


def finish(read: Read, stored: StoredAccount, policy: Policy, context: WorkerContext) -> None:
    """Record every outcome of a read that has ended, and tell of those that passed the fence."""
    account, error = stored.account, _place_pauses(read, stored, context)
    with context.engine.begin() as connection:
        if isinstance(error, Reauthorize):  # accounts before rows, or this could deadlock
            states.lock(connection, [account.account_id])
        if isinstance(error, OverBudget):
            error = defer.deferred(connection, error, context.clock.now())
        if read.waiting and not isinstance(error, Reauthorize):
            _judge_the_rest(
                read, error or TryAgain("The adapter gave no reading for this post."), policy, context
            )
        kept = record(connection, account.workspace_id, read.judged)
        if isinstance(error, Reauthorize):
            kept = (*kept, *_reauthorize(connection, read, stored, error, policy, context))
        if read.reservation:
            paid_reads.settle(connection, read.reservation, (*read.kept, *kept), context.clock.now())
        failpoints.hit("recorded")
    failpoints.hit("committed")
    _tell_observers(account, kept, len(read.judged) - len(kept), context)


def record_progress(read: Read, account: Account, context: WorkerContext) -> None:
    """Record what has been read so far and extend the lease of what waits, in one transaction.

    Rows whose claim no longer stands are dropped. Raises `worker.errors.ClaimsLost` when none is left.
    """
    with context.engine.begin() as connection:
        judged = [outcome.row for outcome in read.judged]
        extended = extend(connection, read.waiting.values(), judged, context.settings.lease)
        kept = record(connection, account.workspace_id, read.judged)
    lost = [publication_id for publication_id in read.waiting if publication_id not in extended]
    _tell_observers(account, kept, len(read.judged) - len(kept) + len(lost), context)
    read.kept += kept
    read.judged.clear()
    for publication_id in lost:
        del read.waiting[publication_id]
    if not read.waiting:
        raise ClaimsLost("Other workers have the rows of this job by now.")


def _tell_observers(account: Account, kept: Sequence[Outcome], fenced: int, context: WorkerContext) -> None:
    for outcome in kept:
        context.observe(account.platform, outcome)
        _log.log(
            logging.DEBUG if outcome.outcome is OutcomeKind.SYNCED else logging.INFO,
            "refreshed",
            outcome=outcome.outcome.value,
            platform=account.platform.value,
            account_id=account.account_id,
            publication_id=outcome.row.publication.id,
            detail=outcome.detail,
        )
    if fenced:
        metrics.FENCED_WRITES.labels(account.platform.value).inc(fenced)
        _log.info("fenced", account_id=account.account_id, rows=fenced)


def _judge_the_rest(read: Read, error: RefreshError, policy: Policy, context: WorkerContext) -> None:
    now = context.clock.now()
    read.judge(lambda row: outcomes.judge_error(row, error, policy, now))


def _place_pauses(read: Read, stored: StoredAccount, context: WorkerContext) -> RefreshError | None:
    """Place what the job found to be paused, and return how it ended: a refusal as the pause that stands now.

    A transaction of its own, before the outcomes: it must not wait for rows, and Redis is told only after it.
    """
    error = read.ended_by
    refusal = error if isinstance(error, Paused) and not isinstance(error, OverBudget) else None
    placed = defer.place(context.engine, stored.account, refusal, read.budget.new_pauses)
    if refusal is None or placed is None:
        return error
    read.budget.prolonged(placed)
    return placed


def _reauthorize(
    connection: Connection,
    read: Read,
    stored: StoredAccount,
    error: Reauthorize,
    policy: Policy,
    context: WorkerContext,
) -> tuple[Outcome, ...]:
    """Mark the whole account at once; if it has newer tokens by now, its rows just try again."""
    account = stored.account
    blocked = states.require_reconnect(
        connection, account.workspace_id, account.account_id, str(error), token_version=stored.token_version
    )
    if blocked is not None:
        _log.warning("requires_reconnect", account_id=account.account_id, rows=blocked, detail=str(error))
        return ()
    recorded = len(read.judged)
    current = tokens.state(connection, account.account_id)
    if current is not None and current[0] is not AccountState.ACTIVE:
        read.block(current[1])
    else:
        _judge_the_rest(read, TryAgain("The account was reconnected meanwhile."), policy, context)
    return record(connection, account.workspace_id, read.judged[recorded:])
