"""Outcomes of rows that an error left without a reading."""

import random
from datetime import datetime, timedelta

from shared.outcome_kinds import OutcomeKind
from shared.vocabulary import PauseKind, Reason, SyncStatus, WarningCode
from worker.claims import StartedRow
from worker.errors import AccountInactive, Misconfigured, Paused, RefreshError, TryAgain
from worker.outcomes.backoff import ATTEMPTS_UNTIL_FAILED, backoff
from worker.outcomes.outcome import Outcome, Policy, with_warning
from worker.outcomes.stopped import blocked


def judge_error(row: StartedRow, error: RefreshError, policy: Policy, now: datetime) -> Outcome:
    """Return the outcome of a row without a reading, because ``error`` ended or prevented the fetch.

    `worker.errors.Reauthorize` is not judged here: it concerns the whole account.
    """
    if isinstance(error, Paused):
        return _paused(row, error, now)
    if isinstance(error, Misconfigured):
        return _misconfigured(row, error, policy, now)
    if isinstance(error, AccountInactive):
        return blocked(row, str(error))
    return transient(row, error, policy, now)


def transient(row: StartedRow, error: RefreshError, policy: Policy, now: datetime) -> Outcome:
    """Return the outcome of an error that may pass: a retry, and a failed status from the fifth in a row."""
    failed = row.attempts >= ATTEMPTS_UNTIL_FAILED
    wait = backoff(row.attempts, policy.first_retry)
    requested = error.after if isinstance(error, TryAgain) else None
    if requested is not None and not failed:
        wait = max(requested, min(wait, requested * 2))
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


def _paused(row: StartedRow, error: Paused, now: datetime) -> Outcome:
    """Return the outcome of a limit or a budget: the row is deferred, and no attempt is counted."""
    until, warnings = error.until, row.warnings
    if error.stop is PauseKind.MISCONFIGURED:
        warnings = with_warning(
            warnings,
            WarningCode.PLATFORM_UNAVAILABLE,
            "the platform refuses our application; operators are alerted",
        )
    jitter_bound = min(30.0, (until - now).total_seconds() / 10 + 0.5)
    jitter = timedelta(seconds=random.uniform(0, jitter_bound))  # noqa: S311 - jitter needs no secrecy
    return Outcome(
        row,
        OutcomeKind.PAUSED,
        Reason.PAUSED,
        until + jitter,
        attempts=row.attempts - 1,
        missing_since=row.missing_since,
        detail=str(error),
        warnings=warnings,
    )


def misconfigured_wait(policy: Policy) -> timedelta:
    """Return how long to wait before a refused application is tried again."""
    return backoff(ATTEMPTS_UNTIL_FAILED - 1, policy.first_retry)


def _misconfigured(row: StartedRow, error: Misconfigured, policy: Policy, now: datetime) -> Outcome:
    return Outcome(
        row,
        OutcomeKind.MISCONFIGURED,
        Reason.RETRY,
        now + misconfigured_wait(policy),
        attempts=row.attempts - 1,
        missing_since=row.missing_since,
        detail=str(error),
        warnings=with_warning(
            row.warnings, WarningCode.PLATFORM_UNAVAILABLE, f"{error.warning}; operators are alerted"
        ),
    )
