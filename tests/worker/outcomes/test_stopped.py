"""What a blocked, a quarantined and a duplicate row write."""

from dataclasses import replace

from shared.vocabulary import Reason, SyncStatus
from tests.worker.outcomes.table import (
    ROW,
    SINCE,
    WARNINGS,
    judged_error,
    written,
)
from worker.errors import AccountInactive
from worker.outcomes.stopped import duplicate, quarantined


def test_blocked_row_is_not_polled_and_keeps_warnings() -> None:
    assert judged_error(replace(ROW, missing_since=SINCE), AccountInactive("Reconnect.")) == {
        "outcome": "requires_reconnect",
        "reason": Reason.BLOCKED,
        "next_run_at": None,
        "attempts": 0,
        "missing_since": SINCE,
        "detail": "Reconnect.",
        "sync_status": SyncStatus.REQUIRES_RECONNECT,
        "error_message": "Reconnect.",
        "warnings": WARNINGS,
    }


def test_quarantined_row_reports_its_starts() -> None:
    sentence = "Quarantined: its refresh was started 5 times and never finished."

    assert written(quarantined(replace(ROW, unfinished=6, missing_since=SINCE))) == {
        "outcome": "quarantined",
        "reason": Reason.QUARANTINED,
        "next_run_at": None,
        "attempts": 3,
        "missing_since": SINCE,
        "detail": sentence,
        "sync_status": SyncStatus.FAILED,
        "error_message": sentence,
        "warnings": WARNINGS,
    }


def test_duplicate_row_fails_without_warnings_that_no_longer_hold() -> None:
    passing = ("post_missing: m", "post_processing: p", "platform_unavailable: u")
    sentence = "The platform knows this post as 7560, which is another publication's id here."

    outcome = duplicate(replace(ROW, missing_since=SINCE, warnings=(*WARNINGS, *passing)), "7560")

    assert written(outcome) == {
        "outcome": "duplicate",
        "reason": Reason.STOPPED,
        "next_run_at": None,
        "attempts": 0,
        "detail": sentence,
        "sync_status": SyncStatus.FAILED,
        "error_message": sentence,
        "warnings": WARNINGS,
    }
