"""The story of one refresh: start the claims, look at pauses, mind budgets and token, fetch, record.

Callable without a queue: `actors.py` is only a shim. Every way out of here writes what happened and when the
rows run next; what cannot be written (database down, process killed) is covered by the lease.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from sqlalchemy import Connection, Engine

from shared import account_state, failpoints, metrics, pauses
from shared.freshness import Freshness
from shared.refresh_queue import RefreshJob
from shared.settings import Settings
from shared.spending import Held, Shortage
from shared.vault import Vault
from shared.vocabulary import AccountState, BucketKind, Lane, Platform
from worker import outcomes, paid_reads, tokens
from worker.adapters.contract import Adapter
from worker.budget_gate import BACKGROUND_PAUSE, BREAKER_PAUSE, FleetBudgets, JobBudget, OverBudget
from worker.claims import StartedRow, start
from worker.client import Client
from worker.clock import DatabaseClock
from worker.errors import Paused, Reauthorize, RefreshError, TryAgain
from worker.memory import FleetMemory
from worker.outcomes import Outcome, Policy
from worker.readings import Account
from worker.record import record
from worker.tokens import StoredAccount
from worker.upstream import JobUpstream

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Tools:
    """What a worker process holds for all of its jobs."""

    settings: Settings
    engine: Engine
    vault: Vault
    client: Client
    clock: DatabaseClock
    adapters: Mapping[Platform, Adapter]
    observe: Callable[[Platform, Outcome], None] = lambda _platform, _outcome: None
    budgets: FleetBudgets | None = None
    """``None``: no limit but the platforms' own pauses; for tests of everything else."""


@dataclass(slots=True)
class _Read:
    """A read under way: what has been judged, and what still waits for its reading."""

    waiting: dict[int, StartedRow]
    budget: JobBudget
    judged: list[Outcome] = field(default_factory=list)
    ended_by: RefreshError | None = None
    held: Held | None = None
    """Reads that cost money, set aside for this job."""


def refresh(job: RefreshJob, tools: Tools) -> None:
    """Refresh the publications of one job and record every outcome."""
    with tools.engine.begin() as connection:
        started = start(connection, job, tools.settings.lease)
        stored = tokens.load(connection, job.account_id, tools.vault) if started else None
        paused = _pauses(connection, stored) if stored else []
    if started is None or stored is None:
        _log.debug("nothing_to_refresh", account_id=job.account_id)
        return
    tools.clock.set(started.at)
    policy = _policy(tools.settings, stored.account.platform)
    lane = Lane.INTERACTIVE if any(row.priority for row in started.rows) else Lane.BACKGROUND
    whole = [pause for pause in paused if _holds_all(pause, lane)]
    budget = JobBudget(
        tools.budgets,
        stored.account.account_id,
        stored.account.platform,
        lane,
        {pause.subject: pause for pause in reversed(paused) if pause.kind in _ENDPOINT_PAUSES},
        now=tools.clock.now,
    )
    read = _Read({row.publication.id: row for row in started.rows}, budget)
    _set_suspects_aside(read, policy)
    failpoints.passes("started", read.waiting)
    if stored.state is not AccountState.ACTIVE:
        _block(read, stored)
    elif whole:
        _postpone(read, whole[0].paused_until, whole[0].reason, tools)
    elif read.waiting and _can_pay(read, stored.account.platform, tools):
        stored = _read(read, stored, policy, tools)
    failpoints.passes("fetched")
    _finish(read, stored, policy, tools)


_ENDPOINT_PAUSES = frozenset({BucketKind.ENDPOINT.value, BREAKER_PAUSE})


def _holds_all(pause: pauses.PauseInForce, lane: Lane) -> bool:
    """Tell whether a pause ends the whole job; one of an endpoint ends what asks that endpoint."""
    if pause.kind == BACKGROUND_PAUSE:
        return lane is Lane.BACKGROUND
    return pause.kind not in _ENDPOINT_PAUSES or not pause.subject


def _can_pay(read: _Read, platform: Platform, tools: Tools) -> bool:
    """Set aside what the job's reads may cost; without the means the rows are postponed."""
    now = tools.clock.now()
    held = paid_reads.hold(tools.engine, tools.settings, platform, read.waiting.values(), now)
    if isinstance(held, Shortage):
        _postpone(read, held.until, held.sentence, tools)
        return False
    read.held = held
    return True


def _block(read: _Read, stored: StoredAccount) -> None:
    sentence = stored.state_reason or "The account is not connected."
    read.judged += [outcomes.blocked(row, sentence) for row in read.waiting.values()]
    read.waiting.clear()


def _pauses(connection: Connection, stored: StoredAccount) -> list[pauses.PauseInForce]:
    account = stored.account
    return pauses.in_force(
        connection,
        platform=account.platform.value,
        account_id=account.account_id,
        workspace_id=account.workspace_id,
    )


def _policy(settings: Settings, platform: Platform) -> Policy:
    return Policy(
        freshness=Freshness.parse(settings.freshness),
        first_retry=settings.first_retry,
        missing_confirm=settings.missing_confirm(platform),
        quarantine_starts=settings.quarantine_starts,
    )


def _set_suspects_aside(read: _Read, policy: Policy) -> None:
    for row in list(read.waiting.values()):
        if row.unfinished > policy.quarantine_starts:
            read.judged.append(outcomes.quarantined(read.waiting.pop(row.publication.id)))


def _postpone(read: _Read, until: datetime, reason: str, tools: Tools) -> None:
    now = tools.clock.now()
    read.judged += [outcomes.paused(row, until, reason, now) for row in read.waiting.values()]
    read.waiting.clear()


def _read(read: _Read, stored: StoredAccount, policy: Policy, tools: Tools) -> StoredAccount:
    """Fetch what waits, renewing the tokens at most once; return the account as it was used last."""
    platform, budget = stored.account.platform, read.budget
    adapter = tools.adapters[platform]
    upstream = JobUpstream(
        tools.client,
        platform,
        stored.account.account_id,
        FleetMemory(tools.engine, platform),
        gate=budget.ask,
        sink=budget.heard,
    )

    def renewed() -> StoredAccount:
        return tokens.renew(
            tools.engine, tools.vault, stored, lambda account: adapter.renew(upstream, account)
        )

    try:
        may_renew = True
        if tokens.ends_soon(stored.account, tools.clock.now()):
            stored, may_renew = _renewed_early(stored, renewed, tools.clock.now()), False
        try:
            _fetch(read, adapter, upstream, stored, policy, tools)
        except Reauthorize as refusal:
            if not (refusal.renewable and may_renew):
                raise
            stored = renewed()
            _fetch(read, adapter, upstream, stored, policy, tools)
    except RefreshError as error:
        read.ended_by = error
    budget.ended(read.ended_by)
    return stored


def _renewed_early(
    stored: StoredAccount, renewed: Callable[[], StoredAccount], now: datetime
) -> StoredAccount:
    """Return the account with new tokens, or as it is when they cannot be had but the old ones hold."""
    try:
        return renewed()
    except RefreshError as error:
        expires_at = stored.account.token_expires_at
        if isinstance(error, Reauthorize) or expires_at is None or expires_at <= now:
            raise
        _log.warning("early_renewal_failed", account_id=stored.account.account_id, detail=str(error))
        return stored


def _fetch(
    read: _Read, adapter: Adapter, upstream: JobUpstream, stored: StoredAccount, policy: Policy, tools: Tools
) -> None:
    publications = [row.publication for row in read.waiting.values()]
    try:
        for reading in adapter.fetch(upstream, stored.account, publications):
            row = read.waiting.pop(reading.publication_id, None)
            if row is not None:
                read.judged.append(outcomes.judge(row, reading, policy, tools.clock.now()))
    except RefreshError:
        raise
    except Exception:  # noqa: BLE001 - a bug of one adapter must not keep its rows from being recorded
        _log.exception(
            "adapter_bug", account_id=stored.account.account_id, platform=stored.account.platform.value
        )
        raise TryAgain("An error of ours; it is logged and operators see it.") from None


def _finish(read: _Read, stored: StoredAccount, policy: Policy, tools: Tools) -> None:
    account, error = stored.account, read.ended_by
    with tools.engine.begin() as connection:
        if isinstance(error, Paused) and not isinstance(error, OverBudget):
            error = _parked(connection, stored, error)
            read.budget.prolonged(error)
        _tell_claims(connection, account.platform, read.budget)
        if read.waiting and not isinstance(error, Reauthorize):
            _judge_the_rest(
                read, error or TryAgain("The adapter gave no reading for this post."), policy, tools
            )
        kept = record(connection, account.workspace_id, read.judged)
        if isinstance(error, Reauthorize):
            kept = (*kept, *_reauthorize(connection, read, stored, error, policy, tools))
        if read.held:
            paid_reads.settle(connection, read.held, kept, tools.clock.now())
    failpoints.passes("committed")
    _tell_observers(read, account, kept, tools)


def _tell_observers(read: _Read, account: Account, kept: Sequence[Outcome], tools: Tools) -> None:
    for outcome in kept:
        tools.observe(account.platform, outcome)
        _log.log(
            20 if outcome.outcome != "synced" else 10,
            "refreshed",
            outcome=outcome.outcome,
            platform=account.platform.value,
            account_id=account.account_id,
            publication_id=outcome.row.publication.id,
            detail=outcome.detail,
        )
    if fenced := len(read.judged) - len(kept):
        metrics.FENCED_WRITES.labels(account.platform.value).inc(fenced)
        _log.info("fenced", account_id=account.account_id, rows=fenced)


def _tell_claims(connection: Connection, platform: Platform, budget: JobBudget) -> None:
    for new in budget.new_pauses:
        pauses.pause(
            connection,
            platform=platform.value,
            kind=new.kind,
            subject=new.subject,
            until=new.until,
            reason=new.reason,
        )
        _log.warning("paused", platform=platform.value, kind=new.kind, subject=new.subject, detail=new.reason)


def _judge_the_rest(read: _Read, error: RefreshError, policy: Policy, tools: Tools) -> None:
    now = tools.clock.now()
    read.judged += [outcomes.judge_error(row, error, policy, now) for row in read.waiting.values()]
    read.waiting.clear()


def _parked(connection: Connection, stored: StoredAccount, error: Paused) -> Paused:
    """Park the bucket that was refused, for the whole fleet, and return the pause as it stands."""
    subjects = {
        BucketKind.APP: "",
        BucketKind.ACCOUNT: stored.account.account_id,
        BucketKind.ENDPOINT: error.endpoint or "",
    }
    until = pauses.pause(
        connection,
        platform=stored.account.platform.value,
        kind=error.kind.value,
        subject=subjects[error.kind],
        until=error.until,
        reason=str(error),
        escalates_until=error.escalates_until,
    )
    if error.operator_alert:
        _log.error("operator_needed", platform=stored.account.platform.value, detail=str(error))
    return Paused(str(error), kind=error.kind, endpoint=error.endpoint, until=until)


def _reauthorize(
    connection: Connection,
    read: _Read,
    stored: StoredAccount,
    error: Reauthorize,
    policy: Policy,
    tools: Tools,
) -> tuple[Outcome, ...]:
    """Mark the whole account at once; if it has newer tokens by now, its rows just try again."""
    account = stored.account
    blocked = account_state.require_reconnect(
        connection, account.workspace_id, account.account_id, str(error), token_version=stored.token_version
    )
    if blocked is not None:
        _log.warning("requires_reconnect", account_id=account.account_id, rows=blocked, detail=str(error))
        return ()
    rest = _Read(read.waiting, read.budget)
    current = tokens.load(connection, account.account_id, tools.vault)
    if current is not None and current.state is not AccountState.ACTIVE:
        _block(rest, current)
    else:
        _judge_the_rest(rest, TryAgain("The account was reconnected meanwhile."), policy, tools)
    return record(connection, account.workspace_id, rest.judged)
