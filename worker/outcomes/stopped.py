"""Outcomes of rows that do not run again by themselves: blocked, duplicate, quarantined."""

from shared.outcome_kinds import OutcomeKind
from shared.vocabulary import Reason, SyncStatus, WarningCode
from worker.claims import StartedRow
from worker.outcomes.outcome import Outcome, without_warnings


def blocked(row: StartedRow, sentence: str) -> Outcome:
    """Return the outcome of a row whose account is disconnected or must be reconnected."""
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
    """Return the outcome of a row whose post has the id of another publication of its account."""
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
        warnings=without_warnings(
            row.warnings,
            WarningCode.POST_MISSING,
            WarningCode.POST_PROCESSING,
            WarningCode.PLATFORM_UNAVAILABLE,
        ),
    )


def quarantined(row: StartedRow) -> Outcome:
    """Return the outcome of a row that was started too often without a finish."""
    sentence = f"Quarantined: its refresh was started {row.unfinished - 1} times and never finished."
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
