"""The outcome of one refresh of one row, and the durations that decide when the row runs next."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.freshness.plan import Planner
from shared.outcome_kinds import OutcomeKind
from shared.vocabulary import Reason, SyncStatus, WarningCode, warn
from worker.claims import StartedRow


@dataclass(frozen=True, slots=True)
class Policy:
    """The durations and counts that decide when a row runs next."""

    freshness: Planner
    """When a refreshed row is due again."""
    first_retry: timedelta
    missing_confirm: timedelta
    """How long after the first miss a second one confirms that a post is gone."""
    quarantine_starts: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one refresh of a row ended: everything that the fenced transaction writes."""

    row: StartedRow
    outcome: OutcomeKind
    """How it ended, for operators, logs and metrics."""
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
    freshness: Mapping[str, Any] | None = None
    """What explains ``stale_after`` and plans the next refresh; ``None`` keeps what is stored."""
    platform_post_id: str | None = None
    completed: bool = False
    """A sync completed with numbers, so a snapshot is kept."""


def without_warnings(warnings: tuple[str, ...], *codes: WarningCode) -> tuple[str, ...]:
    """Return the warnings that have none of these codes."""
    prefixes = tuple(f"{code.value}:" for code in codes)
    return tuple(warning for warning in warnings if not warning.startswith(prefixes))


def with_warning(warnings: tuple[str, ...], code: WarningCode, sentence: str) -> tuple[str, ...]:
    """Return the warnings with exactly one of ``code``; a sentence that an adapter gave is kept."""
    if any(warning.startswith(f"{code.value}:") for warning in warnings):
        return warnings
    return (*warnings, warn(code, sentence))
