"""Rows and parsing that the tests of the operators' pages share."""

import re
from datetime import UTC, datetime, timedelta

from tests.api_stub.ops.conftest import Ops

LATER = datetime.now(UTC) + timedelta(hours=3)


def past() -> datetime:
    """Return the instant seven minutes before this call."""
    return datetime.now(UTC) - timedelta(minutes=7)


def posts(shown: str) -> list[str]:
    """Return the post ids that a page lists."""
    return re.findall(r'href="/ops/publications/\d+">([^<]+)<', shown)


def store_mixed_rows(ops: Ops) -> None:
    """Store rows of every kind."""
    ops.rows.account("acc_2", "ws_2", platform="x")
    ops.rows.account("acc_3", "ws_2", platform="tiktok", state="requires_reconnect", state_reason="Renew it.")
    ops.rows.publication(post_id="fresh", analytics={"attempted_at": datetime.now(UTC), "outcome": "synced"})
    ops.rows.publication(post_id="overdue", state={"next_run_at": past()})
    ops.rows.publication(
        "acc_2",
        post_id="broken",
        analytics={
            "sync_status": "failed",
            "outcome": "failed",
            "outcome_detail": "It <b>broke</b>.",
            "attempted_at": past(),
        },
        state={"reason": "retry", "next_run_at": LATER},
    )
    ops.rows.publication("acc_2", post_id="poison", state={"next_run_at": None, "reason": "quarantined"})
    ops.rows.publication(
        "acc_3",
        post_id="locked",
        analytics={"sync_status": "requires_reconnect", "outcome": "requires_reconnect"},
        state={"next_run_at": None, "reason": "blocked"},
    )
