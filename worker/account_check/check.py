"""Reads the newest post of an account as a refresh does, within the fleet's budgets."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text

from shared.quota import pauses, spending
from shared.quota.pauses import PauseInForce
from shared.quota.spending import BudgetExhausted, Caps
from shared.vocabulary import AccountState, Lane, Platform
from worker.adapters.refused_metrics import RefusedMetricMemory
from worker.context import WorkerContext
from worker.credentials import tokens
from worker.credentials.tokens import StoredAccount
from worker.errors import Misconfigured, Paused, Reauthorize, RefreshError
from worker.http.upstream import JobUpstream
from worker.quota.gate import JobBudget
from worker.readings import Answer, Limit, Publication, Reading

_NEWEST = text("""
SELECT p.id, p.post_id, p.platform_post_id, p.publish_id, p.media_type, pa.last_updated_at,
       COALESCE(p.published_at, p.created_at) AS created_at
  FROM publications p JOIN post_analytics pa ON pa.publication_id = p.id
 WHERE p.account_id = :account_id AND p.platform_post_id IS NOT NULL
 ORDER BY p.created_at DESC, p.id DESC LIMIT 1
""")


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a check."""

    stored: StoredAccount
    post_id: str | None = None
    """The post that was read, if the account has one."""
    reading: Reading | None = None
    """The platform's answer about it."""
    limits: Sequence[Limit] = ()
    """The limits that the platform reported with it."""
    calls: int = 0
    problem: str | None = None
    """Why the account cannot be read; ``None``: it can."""
    to_do: str | None = None


def check(account_id: str, context: WorkerContext) -> Report | None:
    """Return the report on an account, or ``None`` when it does not exist."""
    with context.engine.connect() as connection:
        stored = tokens.load(connection, account_id, context.vault)
        newest = connection.execute(_NEWEST, {"account_id": account_id}).one_or_none()
        in_force = pauses.pauses_of_accounts(connection, [account_id]).get(account_id, [])
    if stored is None:
        return None
    if obstacle := _obstacle(stored, in_force):
        return Report(stored, problem=obstacle[0], to_do=obstacle[1])
    if newest is None:
        problem = "the account has no publication with an id of its platform: there is nothing to read"
        return Report(stored, problem=problem, to_do="Import one with `dravo import publications`.")
    return _read(stored, newest, in_force, context)


def _obstacle(stored: StoredAccount, in_force: Sequence[PauseInForce]) -> tuple[str, str] | None:
    """Return why no call is made, and what to do about it."""
    if stored.unopened:
        return stored.unopened, "Set the key that sealed it in DRAVO_SECRET_KEYS, or import the token again."
    if stored.state is not AccountState.ACTIVE:
        reason = stored.state_reason or f"the account is {stored.state.value}"
        return reason, "Connect it again and import its new token."
    for pause in in_force:
        if not pause.kind.background_only:
            return f"paused: {pause.reason}", "See `dravo pauses`."
    return None


def _read(
    stored: StoredAccount, newest: Row[Any], in_force: Sequence[PauseInForce], context: WorkerContext
) -> Report:
    account, now = stored.account, context.clock.now()
    reservation = None
    if account.platform is Platform.X and spending.count_billable([newest.last_updated_at], now):
        with context.engine.begin() as connection:
            reserved = spending.reserve(connection, 1, Caps.of(context.settings))
        if isinstance(reserved, BudgetExhausted):
            return Report(stored, newest.post_id, problem=reserved.sentence)
        reservation = reserved
    budget = JobBudget(
        context.budgets,
        account.account_id,
        account.platform,
        Lane.INTERACTIVE,
        in_force,
        now=context.clock.now,
    )
    calls = 0

    def acquire(platform: Platform, account_id: str, endpoint: str, cost: int, /) -> None:
        nonlocal calls
        budget.acquire(platform, account_id, endpoint, cost)
        calls += 1

    upstream = JobUpstream(
        context.client,
        account.platform,
        account.account_id,
        RefusedMetricMemory(context.engine, account.platform),
        gate=acquire,
        sink=budget.on_limits,
    )
    reading, error = None, None
    try:
        reading = next(
            iter(context.adapters[account.platform].fetch(upstream, account, [_publication(newest)]))
        )
    except RefreshError as failure:
        error = failure
    finally:
        if reservation is not None:
            with context.engine.begin() as connection:
                spending.settle(connection, reservation, int(reading is not None))
    problem, to_do = _judged(reading, error, stored, now)
    return Report(stored, newest.post_id, reading, tuple(upstream.limits), calls, problem, to_do)


def _publication(row: Row[Any]) -> Publication:
    return Publication(row.id, row.platform_post_id, row.publish_id, row.media_type, row.created_at)


def _judged(
    reading: Reading | None, error: RefreshError | None, stored: StoredAccount, now: datetime
) -> tuple[str | None, str | None]:
    """Return what is wrong and what to do about it."""
    match error:
        case None:
            if reading is not None and reading.answer is Answer.MISSING:
                return (
                    reading.detail or "the platform does not know the account's newest post",
                    "Compare the token's owner with platform_account_id: it may be another account's.",
                )
            return None, None
        case Reauthorize(renewable=True) if _expired(stored, now) and stored.account.refresh_token:
            return f"{error} The access token has ended.", "The next refresh renews it: nothing to do."
        case Reauthorize():
            return str(error), "Connect the account again and import its new token."
        case Misconfigured():
            return str(error), "Check the application's credentials and API version in the settings."
        case Paused():
            return str(error), "Wait until the limit ends, or see `dravo pauses`."
        case _:
            return str(error), "Try again later."


def _expired(stored: StoredAccount, now: datetime) -> bool:
    expires_at = stored.account.token_expires_at
    return expires_at is not None and expires_at <= now
