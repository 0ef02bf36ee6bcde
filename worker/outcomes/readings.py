"""Outcomes of readings: one function for each answer of a platform."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, TypeGuard

from shared.freshness.leading import leading_value
from shared.freshness.plan import Known
from shared.outcome_kinds import OutcomeKind
from shared.vocabulary import Reason, SyncStatus, WarningCode, warn
from worker.claims import StartedRow
from worker.errors import TryAgain
from worker.outcomes.errors import transient
from worker.outcomes.missing import missing, processing
from worker.outcomes.outcome import Outcome, Policy, with_warning
from worker.readings import Answer, Reading

_NUMBERS: Final = frozenset({int, float})


def judge_reading(row: StartedRow, reading: Reading, policy: Policy, now: datetime) -> Outcome:
    """Return the outcome of a reading taken at ``now`` (database time)."""
    outcome = _BY_ANSWER[reading.answer](row, reading, policy, now)
    if reading.platform_post_id is None:
        return outcome
    return replace(outcome, platform_post_id=reading.platform_post_id)


def _read(row: StartedRow, reading: Reading, policy: Policy, now: datetime) -> Outcome:
    before = row.metrics
    decreased = sorted(
        [key for key, value in reading.metrics.items() if _is_number(old := before.get(key)) and value < old]
    )
    warnings = reading.warnings
    if decreased:
        warnings = (
            *warnings,
            warn(WarningCode.COUNTER_DECREASED, f"{', '.join(decreased)} fell since the last read"),
        )
    return _completed(row, policy, now, reading.metrics, warnings, partial=bool(reading.missing))


def _is_number(value: object) -> TypeGuard[int | float]:
    return type(value) in _NUMBERS


def _omitted(row: StartedRow, reading: Reading, policy: Policy, now: datetime) -> Outcome:
    if any(_is_number(value) and value > 0 for value in row.metrics.values()):
        warning = warn(
            WarningCode.NO_ACTIVITY_REPORTED, "the platform reports no activity; the last values are kept"
        )
        return _completed(row, policy, now, row.metrics, (warning, *reading.warnings), measured=False)
    return _completed(row, policy, now, reading.metrics, reading.warnings)


def _completed(
    row: StartedRow,
    policy: Policy,
    now: datetime,
    metrics: Mapping[str, Any],
    warnings: tuple[str, ...],
    *,
    partial: bool = False,
    measured: bool = True,
) -> Outcome:
    status = SyncStatus.PARTIAL if partial else SyncStatus.SYNCED
    value = leading_value(policy.freshness.platform, metrics) if measured else None
    plan = policy.freshness.plan(_known(row), value, now)
    return Outcome(
        row,
        OutcomeKind(status.value),
        Reason.STALE,
        plan.stale_after,
        attempts=0,
        sync_status=status,
        metrics=dict(metrics),
        warnings=warnings,
        last_updated_at=now,
        stale_after=plan.stale_after,
        freshness=plan.stored,
        completed=True,
    )


def _unavailable(row: StartedRow, reading: Reading, policy: Policy, now: datetime) -> Outcome:
    sentence = reading.detail or "the platform has no numbers for this post"
    plan = policy.freshness.plan(_known(row), None, now)
    return Outcome(
        row,
        OutcomeKind.UNAVAILABLE,
        Reason.STALE,
        plan.stale_after,
        attempts=0,
        detail=sentence,
        sync_status=SyncStatus.PARTIAL,
        warnings=with_warning(reading.warnings, WarningCode.INSIGHTS_UNAVAILABLE, sentence),
        stale_after=plan.stale_after,
        freshness=plan.stored,
    )


def _known(row: StartedRow) -> Known:
    post = row.publication
    return Known(post.id, post.created_at, post.media_type, row.freshness, row.reads)


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
        warnings=with_warning(reading.warnings, WarningCode.WINDOW_CLOSED, sentence),
    )


def _unreadable(row: StartedRow, reading: Reading, policy: Policy, now: datetime) -> Outcome:
    error = TryAgain(reading.detail or "The platform gave no answer for this post.")
    return transient(row, error, policy, now)


_BY_ANSWER = {
    Answer.READ: _read,
    Answer.OMITTED: _omitted,
    Answer.UNAVAILABLE: _unavailable,
    Answer.WINDOW_CLOSED: _window_closed,
    Answer.MISSING: missing,
    Answer.PROCESSING: processing,
    Answer.UNREADABLE: _unreadable,
}
