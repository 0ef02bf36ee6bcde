"""Outcomes of posts that the platform does not show: missing, gone, or not published yet.

A post is gone only when two misses, apart in time, confirm it; a completed sync in between starts anew.
"""

from datetime import datetime, timedelta
from typing import Final

from shared.outcome_kinds import OutcomeKind
from shared.vocabulary import Reason, SyncStatus, WarningCode
from worker.claims import StartedRow
from worker.outcomes.backoff import LONGEST_WAIT, backoff
from worker.outcomes.outcome import Outcome, Policy, with_warning, without_warnings
from worker.readings import Reading

_PROCESSING_UNTIL: Final = timedelta(days=30)
"""The age from which a post that is still processing is not polled any more."""


def missing(row: StartedRow, reading: Reading, policy: Policy, now: datetime) -> Outcome:
    """Return the outcome of a miss: unconfirmed at first, gone when a later miss confirms it."""
    if reading.doubtful:
        return _doubtful(row, reading, policy, now)
    since = row.missing_since or now
    if row.missing_since is not None and now >= since + policy.missing_confirm:
        return _gone(row, reading, since)
    sentence = "the platform did not find this post; a second request will confirm or clear that"
    return Outcome(
        row,
        OutcomeKind.MISSING,
        Reason.UNCONFIRMED,
        since + policy.missing_confirm,
        attempts=0,
        missing_since=since,
        detail=reading.detail,
        warnings=_with_missing_warning(row, sentence),
    )


def _gone(row: StartedRow, reading: Reading, since: datetime) -> Outcome:
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
        warnings=without_warnings(row.warnings, WarningCode.POST_MISSING, WarningCode.PLATFORM_UNAVAILABLE),
    )


def _doubtful(row: StartedRow, reading: Reading, policy: Policy, now: datetime) -> Outcome:
    """Return the outcome of a miss that proves nothing: it is repeated, with a growing wait."""
    sentence = "the platform did not find this post, but may be wrong now; it will be requested again"
    return Outcome(
        row,
        OutcomeKind.MISSING,
        Reason.UNCONFIRMED,
        now + max(policy.missing_confirm, backoff(row.attempts, policy.first_retry)),
        attempts=row.attempts,
        missing_since=row.missing_since,
        detail=reading.detail,
        warnings=_with_missing_warning(row, sentence),
    )


def _with_missing_warning(row: StartedRow, sentence: str) -> tuple[str, ...]:
    others = without_warnings(row.warnings, WarningCode.PLATFORM_UNAVAILABLE)
    return with_warning(others, WarningCode.POST_MISSING, sentence)


def processing(row: StartedRow, reading: Reading, policy: Policy, now: datetime) -> Outcome:
    """Return the outcome of a post without a public id: the next run comes after a tenth of its age."""
    age = max(now - row.publication.created_at, timedelta())
    stopped = age > _PROCESSING_UNTIL
    wait = min(max(policy.first_retry, age / 10), LONGEST_WAIT)
    sentence = reading.detail or "the platform has not published the post under a public id yet"
    others = without_warnings(row.warnings, WarningCode.PLATFORM_UNAVAILABLE)
    return Outcome(
        row,
        OutcomeKind.PROCESSING,
        Reason.STOPPED if stopped else Reason.PROCESSING,
        None if stopped else now + wait,
        attempts=0,
        detail=sentence,
        warnings=with_warning(others, WarningCode.POST_PROCESSING, sentence),
    )
