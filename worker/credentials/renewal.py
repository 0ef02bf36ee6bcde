"""The renewal of one account's tokens: during a refresh, or ahead of their expiry without a fetch."""

import structlog

from shared.accounts.states import require_reconnect
from shared.quota import pauses
from shared.vocabulary import AccountState, Lane
from worker.adapters.refused_metrics import RefusedMetricMemory
from worker.context import WorkerContext
from worker.credentials import tokens
from worker.credentials.tokens import StoredAccount
from worker.errors import Reauthorize, RefreshError
from worker.http.upstream import JobUpstream
from worker.quota import defer
from worker.quota.gate import JobBudget
from worker.quota.pause import pause_of_whole_job

_LOCK_WAIT_SHARE = 4  # of the lease: together with the call, bounded to half of it, it ends within the lease
_log = structlog.get_logger(__name__)


def renew(stored: StoredAccount, budget: JobBudget, context: WorkerContext) -> StoredAccount:
    """Return the account with newer tokens; raises what `tokens.renew` and the budgets raise.

    The budgets in Redis are reserved and updated outside the transaction that locks the account: whoever
    waits for the account must not wait for Redis.
    """
    account = stored.account
    adapter = context.adapters[account.platform]
    memory = RefusedMetricMemory(context.engine, account.platform)
    upstream = JobUpstream(context.client, account.platform, account.account_id, memory)
    if adapter.renewal_endpoint is not None:
        budget.acquire(account.platform, account.account_id, adapter.renewal_endpoint, 1)
    try:
        return tokens.renew(
            context.engine,
            context.vault,
            stored,
            lambda current: adapter.renew(upstream, current),
            lock_wait=context.settings.lease / _LOCK_WAIT_SHARE,
        )
    finally:
        budget.on_limits(account.platform, account.account_id, tuple(upstream.limits))


def renew_ahead(account_id: str, context: WorkerContext) -> None:
    """Renew the tokens of an account if they expire soon; a second message for the same pair does nothing.

    A dead refresh token marks the account, and a refusal pauses its bucket, exactly as in a refresh; after
    any other error the next tick tries again.
    """
    with context.engine.begin() as connection:
        stored = tokens.load(connection, account_id, context.vault)
        pauses_by_account = pauses.pauses_of_accounts(connection, [account_id], of_job=True)
    if stored is None or stored.state is not AccountState.ACTIVE:
        return
    account, in_force = stored.account, pauses_by_account.get(account_id, [])
    if stored.unopened:
        _log.error(
            "operator_needed", platform=account.platform.value, account_id=account_id, detail=stored.unopened
        )
        return
    now = context.clock.now
    if not tokens.ends_soon(account, now()) or pause_of_whole_job(in_force, Lane.BACKGROUND, now()):
        return
    budget = JobBudget(context.budgets, account_id, account.platform, Lane.BACKGROUND, in_force, now=now)
    try:
        renew(stored, budget, context)
    except RefreshError as raised:
        error = budget.on_tolerated_error(raised)
        if isinstance(error, Reauthorize):
            _require_reconnect(stored, error, context)
        else:
            _log.warning("early_renewal_failed", account_id=account_id, detail=str(error))
    else:
        budget.on_result(None)
        _log.info("tokens_renewed", account_id=account_id, platform=account.platform.value)
    defer.place(context.engine, account, None, budget.new_pauses)


def _require_reconnect(stored: StoredAccount, error: Reauthorize, context: WorkerContext) -> None:
    account = stored.account
    with context.engine.begin() as connection:
        require_reconnect(
            connection,
            account.workspace_id,
            account.account_id,
            str(error),
            token_version=stored.token_version,
        )
    _log.warning("requires_reconnect", account_id=account.account_id, detail=str(error))
