"""What an answer means: one function per answer, from reading or error to the row that is written.

Nothing here touches the network or the database. The rules are the contract's: the last good metrics are
never erased by a failure, a limit is no failure and costs no attempt, absence is not zero.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from shared.freshness import Freshness
from shared.outcome_kinds import OutcomeKind
from shared.vocabulary import Reason, SyncStatus, WarningCode, warn
from worker.claims import StartedRow
from worker.errors import AccountInactive, Misconfigured, Paused, RefreshError, TryAgain
from worker.readings import Answer, Reading

ATTEMPTS_UNTIL_FAILED = 5
_SLOWER_PACE = 240  # times the first wait: 15 s become an hour
_LONGEST_WAIT = timedelta(hours=6)
_PROCESSING_LOOKS_UNTIL = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Policy:
    """The durations that decide when a row runs next."""

    freshness: Freshness
    first_retry: timedelta
    missing_confirm: timedelta
    quarantine_starts: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one refresh ended: everything that the fenced transaction writes."""

    row: StartedRow
    outcome: OutcomeKind
    """How it ended, for people, logs and metrics."""
    reason: Reason
    next_run_at: datetime | None
    attempts: int
    missing_since: datetime | None = None
    detail: str | None = None
    sync_status: SyncStatus | None = None
    """``None`` keeps the stored status, and its error message with it."""
    error_message: str | None = None
    metrics: Mapping[str, Any] | None = None
    """``None`` keeps the stored metrics."""
    warnings: tuple[str, ...] = ()
    last_updated_at: datetime | None = None
    """``None`` keeps the stored instant."""
    stale_after: datetime | None = None
    platform_post_id: str | None = None
    completed: bool = field(default=False)
    """A sync completed with numbers: a snapshot is kept."""


def judge(row: StartedRow, reading: Reading, policy: Policy, now: datetime) -> Outcome:
    """Return the outcome of a reading taken at ``now`` (database time)."""
    outcome = _BY_ANSWER[reading.answer](row, reading, policy, now)
    return replace(outcome, platform_post_id=reading.platform_post_id)


def judge_error(row: StartedRow, error: RefreshError, policy: Policy, now: datetime) -> Outcome:
    """Return the outcome of a row that an early end of the read left without a reading.

    `worker.errors.Reauthorize` is not judged here: it concerns the whole account.
    """
    if isinstance(error, Paused):
        return paused(row, error.until, str(error), now)
    if isinstance(error, Misconfigured):
        return _misconfigured(row, error, policy, now)
    if isinstance(error, AccountInactive):
        return blocked(row, str(error))
    return _transient(row, error, policy, now)


def paused(row: StartedRow, until: datetime, detail: str, now: datetime) -> Outcome:
    """Return the outcome of a limit or a budget: as before, later, and no attempt used."""
    spread = timedelta(seconds=random.uniform(0, min(30.0, (until - now).total_seconds() / 10 + 0.5)))  # noqa: S311 - jitter
    return Outcome(
        row,
        OutcomeKind.PAUSED,
        Reason.PAUSED,
        until + spread,
        attempts=row.attempts - 1,
        missing_since=row.missing_since,
        detail=detail,
        warnings=row.warnings,
    )


def blocked(row: StartedRow, sentence: str) -> Outcome:
    """Return the outcome of a row whose account may not be read."""
    return Outcome(
        row,
        OutcomeKind.REQUIRES_RECONNECT,
        Reason.BLOCKED,
        None,
        attempts=0,
        missing_since=row.missing_since,
        detail=sentence,
        sync_status=SyncStatus.REQUIRES_RECONNECT,
        error_message=sentence,
        warnings=row.warnings,
    )


def duplicate(row: StartedRow, platform_post_id: str) -> Outcome:
    """Return the outcome of a row whose post has an id that another publication of its account has."""
    sentence = f"The platform knows this post as {platform_post_id}, which is another publication's id here."
    return Outcome(
        row,
        OutcomeKind.DUPLICATE,
        Reason.STOPPED,
        None,
        attempts=0,
        detail=sentence,
        sync_status=SyncStatus.FAILED,
        error_message=sentence,
        warnings=_without(
            row.warnings,
            WarningCode.POST_MISSING,
            WarningCode.POST_PROCESSING,
            WarningCode.PLATFORM_UNAVAILABLE,
        ),
    )


def quarantined(row: StartedRow) -> Outcome:
    """Return the outcome of a row that was started too often without a finish: it is set aside."""
    sentence = f"Set aside: its refresh was started {row.unfinished - 1} times and never finished."
    return Outcome(
        row,
        OutcomeKind.QUARANTINED,
        Reason.QUARANTINED,
        None,
        attempts=row.attempts,
        missing_since=row.missing_since,
        detail=sentence,
        sync_status=SyncStatus.FAILED,
        error_message=sentence,
        warnings=row.warnings,
    )


def _read(row: StartedRow, reading: Reading, policy: Policy, now: datetime) -> Outcome:
    fallen = sorted(
        key
        for key, value in reading.metrics.items()
        if _number(row.metrics.get(key)) and value < row.metrics[key]
    )
    warnings = reading.warnings
    if fallen:
        warnings = (
            *warnings,
            warn(WarningCode.COUNTER_DECREASED, f"{', '.join(fallen)} fell since the last read"),
        )
    return _completed(row, policy, now, reading.metrics, warnings, partial=bool(reading.missing))


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _omitted(row: StartedRow, reading: Reading, policy: Policy, now: datetime) -> Outcome:
    if any(_number(value) and value > 0 for value in row.metrics.values()):
        kept = warn(
            WarningCode.NO_ACTIVITY_REPORTED, "the platform reports no activity; the last values are kept"
        )
        return _completed(row, policy, now, row.metrics, (kept, *reading.warnings))
    return _completed(row, policy, now, reading.metrics, reading.warnings)


def _completed(
    row: StartedRow,
    policy: Policy,
    now: datetime,
    metrics: Mapping[str, Any],
    warnings: tuple[str, ...],
    *,
    partial: bool = False,
) -> Outcome:
    status = SyncStatus.PARTIAL if partial else SyncStatus.SYNCED
    stale_after = policy.freshness.stale_after(now)
    return Outcome(
        row,
        OutcomeKind(status.value),
        Reason.STALE,
        stale_after,
        attempts=0,
        sync_status=status,
        metrics=dict(metrics),
        warnings=warnings,
        last_updated_at=now,
        stale_after=stale_after,
        completed=True,
    )


def _unavailable(row: StartedRow, reading: Reading, policy: Policy, now: datetime) -> Outcome:
    sentence = reading.detail or "the platform has no numbers for this post"
    stale_after = policy.freshness.stale_after(now)
    return Outcome(
        row,
        OutcomeKind.UNAVAILABLE,
        Reason.STALE,
        stale_after,
        attempts=0,
        detail=sentence,
        sync_status=SyncStatus.PARTIAL,
        warnings=_with(reading.warnings, WarningCode.INSIGHTS_UNAVAILABLE, sentence),
        stale_after=stale_after,
    )


def _window_closed(row: StartedRow, reading: Reading, _policy: Policy, _now: datetime) -> Outcome:
    sentence = reading.detail or "the platform no longer reports on a post of this age"
    return Outcome(
        row,
        OutcomeKind.WINDOW_CLOSED,
        Reason.STOPPED,
        None,
        attempts=0,
        detail=sentence,
        sync_status=SyncStatus.PARTIAL,
        warnings=_with(reading.warnings, WarningCode.WINDOW_CLOSED, sentence),
    )


def _missing(row: StartedRow, reading: Reading, policy: Policy, now: datetime) -> Outcome:
    if reading.doubtful:
        return _doubtful_miss(row, reading, policy, now)
    since = row.missing_since or now
    # Since the last completed sync: a look that found the post in between has cleared the suspicion.
    if row.missing_since is not None and now >= since + policy.missing_confirm:
        sentence = "The platform no longer has this post for this account: deleted, private or not its own."
        return Outcome(
            row,
            OutcomeKind.GONE,
            Reason.STOPPED,
            None,
            attempts=0,
            missing_since=since,
            detail=reading.detail,
            sync_status=SyncStatus.FAILED,
            error_message=sentence,
            warnings=_without(row.warnings, WarningCode.POST_MISSING, WarningCode.PLATFORM_UNAVAILABLE),
        )
    sentence = "the platform did not find this post; a second look will confirm or clear that"
    return Outcome(
        row,
        OutcomeKind.MISSING,
        Reason.UNCONFIRMED,
        since + policy.missing_confirm,
        attempts=0,
        missing_since=since,
        detail=reading.detail,
        warnings=_with(
            _without(row.warnings, WarningCode.PLATFORM_UNAVAILABLE), WarningCode.POST_MISSING, sentence
        ),
    )


def _doubtful_miss(row: StartedRow, reading: Reading, policy: Policy, now: datetime) -> Outcome:
    """Return the outcome of a miss that proves nothing: as before, and asked again, slower each time."""
    sentence = "the platform did not find this post, but may be wrong now; it will be asked again"
    return Outcome(
        row,
        OutcomeKind.MISSING,
        Reason.UNCONFIRMED,
        now + max(policy.missing_confirm, backoff(row.attempts, policy.first_retry)),
        attempts=row.attempts,
        missing_since=row.missing_since,
        detail=reading.detail,
        warnings=_with(
            _without(row.warnings, WarningCode.PLATFORM_UNAVAILABLE), WarningCode.POST_MISSING, sentence
        ),
    )


def _processing(row: StartedRow, reading: Reading, policy: Policy, now: datetime) -> Outcome:
    age = max(now - row.publication.created_at, timedelta())
    given_up = age > _PROCESSING_LOOKS_UNTIL
    wait = min(max(policy.first_retry, age / 10), _LONGEST_WAIT)
    sentence = reading.detail or "the platform has not published the post under a public id yet"
    return Outcome(
        row,
        OutcomeKind.PROCESSING,
        Reason.STOPPED if given_up else Reason.PROCESSING,
        None if given_up else now + wait,
        attempts=0,
        detail=sentence,
        warnings=_with(
            _without(row.warnings, WarningCode.PLATFORM_UNAVAILABLE), WarningCode.POST_PROCESSING, sentence
        ),
    )


def _unreadable(row: StartedRow, reading: Reading, policy: Policy, now: datetime) -> Outcome:
    return _transient(
        row, TryAgain(reading.detail or "The platform gave no answer for this post."), policy, now
    )


def _transient(row: StartedRow, error: RefreshError, policy: Policy, now: datetime) -> Outcome:
    failed = row.attempts >= ATTEMPTS_UNTIL_FAILED
    wait = backoff(row.attempts, policy.first_retry)
    asked_for = error.after if isinstance(error, TryAgain) else None
    if asked_for is not None and not failed:
        wait = max(asked_for, min(wait, asked_for * 2))
    return Outcome(
        row,
        OutcomeKind.FAILED if failed else OutcomeKind.RETRY,
        Reason.RETRY,
        now + wait,
        attempts=row.attempts,
        missing_since=row.missing_since,
        detail=str(error),
        sync_status=SyncStatus.FAILED if failed else None,
        error_message=f"{row.attempts} attempts in a row did not succeed; the last: {error}"
        if failed
        else None,
        warnings=row.warnings,
    )


def _misconfigured(row: StartedRow, error: Misconfigured, policy: Policy, now: datetime) -> Outcome:
    return Outcome(
        row,
        OutcomeKind.MISCONFIGURED,
        Reason.RETRY,
        now + backoff(ATTEMPTS_UNTIL_FAILED - 1, policy.first_retry),
        attempts=row.attempts - 1,
        missing_since=row.missing_since,
        detail=str(error),
        warnings=_with(
            row.warnings,
            WarningCode.PLATFORM_UNAVAILABLE,
            f"{error.warning}; operators are told",
        ),
    )


def backoff(attempts: int, first: timedelta) -> timedelta:
    """Return the wait after so many attempts in a row: doubling, jittered by a fifth, slower once failed."""
    if attempts >= ATTEMPTS_UNTIL_FAILED:
        doublings = min(attempts - ATTEMPTS_UNTIL_FAILED, 6)
        base = first * (_SLOWER_PACE << doublings)
    else:
        base = first * (1 << max(attempts - 1, 0))
    return min(base, max(_LONGEST_WAIT, first)) * random.uniform(0.8, 1.2)  # noqa: S311 - jitter


def _without(warnings: tuple[str, ...], *codes: WarningCode) -> tuple[str, ...]:
    return tuple(
        warning for warning in warnings if not warning.startswith(tuple(f"{code.value}:" for code in codes))
    )


def _with(warnings: tuple[str, ...], code: WarningCode, sentence: str) -> tuple[str, ...]:
    """Return the warnings with exactly one of ``code``: an adapter's own wording wins over ours."""
    if any(warning.startswith(f"{code.value}:") for warning in warnings):
        return warnings
    return (*warnings, warn(code, sentence))


_BY_ANSWER = {
    Answer.READ: _read,
    Answer.OMITTED: _omitted,
    Answer.UNAVAILABLE: _unavailable,
    Answer.WINDOW_CLOSED: _window_closed,
    Answer.MISSING: _missing,
    Answer.PROCESSING: _processing,
    Answer.UNREADABLE: _unreadable,
}
