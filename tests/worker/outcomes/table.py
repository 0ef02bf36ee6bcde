"""The fields that an outcome writes, as a dict: the rows of the table that the tests of this folder state."""

from dataclasses import MISSING, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.freshness.plan import Planner
from shared.freshness.policy import Freshness
from shared.freshness.priors import PRIORS
from shared.vocabulary import Platform, Reason, SyncStatus
from worker.claims import StartedRow
from worker.errors import RefreshError
from worker.outcomes.errors import judge_error
from worker.outcomes.outcome import Outcome, Policy
from worker.outcomes.readings import judge_reading
from worker.readings import Answer, Publication, Reading

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))
FIXED = Planner(Freshness(6 * HOUR), Platform.INSTAGRAM, PRIORS[Platform.INSTAGRAM])
POLICY = Policy(FIXED, first_retry=15 * SECOND, missing_confirm=HOUR, quarantine_starts=5)
WARNINGS = ("metric_unavailable: likes", "permission_missing: shares")
OURS = "platform_unavailable: the platform refuses our application; operators are alerted"
ROW = StartedRow(
    publication=Publication(7, "1790", None, "IMAGE", NOW - 10 * DAY),
    claim_seq=4,
    attempts=3,
    unfinished=1,
    missing_since=None,
    sync_status=SyncStatus.SYNCED,
    metrics={"views": 9, "likes": 0},
    warnings=WARNINGS,
    last_updated_at=NOW - 7 * HOUR,
    snapshot_at=NOW - DAY,
)
"""A row that was synced before, has warnings, and is started for the third time in a row."""
SINCE = NOW - 20 * MINUTE


def written(outcome: Outcome) -> dict[str, Any]:
    """Return what an outcome writes: every field that is not its default, and the row's four always."""
    always = {"outcome", "reason", "next_run_at", "attempts"}
    values = {one.name: (getattr(outcome, one.name), one.default) for one in fields(outcome)}
    return {
        name: value
        for name, (value, default) in values.items()
        if name != "row" and (name in always or default is MISSING or value != default)
    }


def judged(row: StartedRow, answer: Answer, **reading: Any) -> dict[str, Any]:
    return written(judge_reading(row, Reading(7, answer, **reading), POLICY, NOW))


def judged_error(row: StartedRow, error: RefreshError) -> dict[str, Any]:
    return written(judge_error(row, error, POLICY, NOW))


def retried(wait: timedelta, attempts: int, sentence: str) -> dict[str, Any]:
    failed = attempts >= 5
    expected: dict[str, Any] = {
        "outcome": "failed" if failed else "retry",
        "reason": Reason.RETRY,
        "next_run_at": NOW + wait,
        "attempts": attempts,
        "missing_since": SINCE,
        "detail": sentence,
        "warnings": WARNINGS,
    }
    if failed:
        expected["sync_status"] = SyncStatus.FAILED
        expected["error_message"] = f"{attempts} attempts in a row did not succeed; the last: {sentence}"
    return expected
