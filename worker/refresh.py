"""The story of one refresh: start the claims, look at pauses, mind the token, fetch, take apart, record.

Callable without a queue: `actors.py` is only a shim. Every way out of here writes what happened and when the
rows run next; what cannot be written (database down, process killed) is covered by the lease.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from sqlalchemy import Connection, Engine

from shared import account_state, failpoints, pauses
from shared.freshness import Freshness
from shared.refresh_queue import RefreshJob
from shared.settings import Settings
from shared.vault import Vault
from shared.vocabulary import AccountState, BucketKind, Platform
from worker import outcomes, tokens
from worker.adapters.contract import Adapter
from worker.claims import StartedRow, start
from worker.client import Client
from worker.clock import DatabaseClock
from worker.errors import Paused, Reauthorize, RefreshError, TryAgain
from worker.memory import FleetMemory
from worker.outcomes import Outcome, Policy
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


@dataclass(slots=True)
class _Read:
    """A read under way: what has been judged, and what still waits for its reading."""

    waiting: dict[int, StartedRow]
    judged: list[Outcome] = field(default_factory=list)
    ended_by: RefreshError | None = None


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
    read = _Read({row.publication.id: row for row in started.rows})
    _set_suspects_aside(read, policy)
    failpoints.passes("started", read.waiting)
    whole = [pause for pause in paused if pause.kind != BucketKind.ENDPOINT]
    if stored.state is not AccountState.ACTIVE:
        _block(read, stored)
    elif whole:
        _postpone(read, whole[0].paused_until, whole[0].reason, tools)
    elif read.waiting:
        stored = _read(read, stored, {pause.subject: pause for pause in paused}, policy, tools)
    failpoints.passes("fetched")
    _finish(read, stored, policy, tools)


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


def _read(
    read: _Read,
    stored: StoredAccount,
    endpoint_pauses: Mapping[str, pauses.PauseInForce],
    policy: Policy,
    tools: Tools,
) -> StoredAccount:
    """Fetch what waits, renewing the tokens at most once; return the account as it was used last."""
    platform = stored.account.platform
    adapter = tools.adapters[platform]

    def gate(_platform: Platform, _account_id: str, endpoint: str, _cost: int) -> None:
        if pause := endpoint_pauses.get(endpoint):
            raise Paused(pause.reason, kind=BucketKind.ENDPOINT, endpoint=endpoint, until=pause.paused_until)

    upstream = JobUpstream(
        tools.client, platform, stored.account.account_id, FleetMemory(tools.engine, platform), gate=gate
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
        if isinstance(error, Paused):
            read.ended_by = error = _parked(connection, stored, error)
        if read.waiting and not isinstance(error, Reauthorize):
            _judge_the_rest(
                read, error or TryAgain("The adapter gave no reading for this post."), policy, tools
            )
        kept = record(connection, account.workspace_id, read.judged)
        if isinstance(error, Reauthorize):
            kept = (*kept, *_reauthorize(connection, read, stored, error, policy, tools))
    failpoints.passes("committed")
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
        _log.info("fenced", account_id=account.account_id, rows=fenced)


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
    rest = _Read(read.waiting)
    current = tokens.load(connection, account.account_id, tools.vault)
    if current is not None and current.state is not AccountState.ACTIVE:
        _block(rest, current)
    else:
        _judge_the_rest(rest, TryAgain("The account was reconnected meanwhile."), policy, tools)
    return record(connection, account.workspace_id, rest.judged)
