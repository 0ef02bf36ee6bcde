"""What holds of every row at any moment, as one query that finds the rows of which it does not.

Every row of an active account is due at a known time, claimed, or stopped for a recorded reason; no row of
another account is polled. A row for which this does not hold is *stuck*: no tick, read or re-sync helps it.
Each transition keeps to it alone; that two at once do is what this watches.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, text

from shared.outcome_kinds import OutcomeKind
from shared.quota.pauses import BACKGROUND_NOT_PAUSED, NOT_PAUSED


class Breach(StrEnum):
    """How a row is stuck."""

    NEVER_DUE = "never_due"
    """It has no next run, its account is active, and nothing is recorded that ended its polling."""
    FAR_FUTURE = "far_future"
    """Its next run is more than a year away, and no pause is in force that could explain it."""
    NOT_ACTIVE = "not_active"
    """It has a next run although its account may not be read."""


@dataclass(frozen=True, slots=True)
class StuckRow:
    """A row for which the invariant does not hold."""

    publication_id: int
    account_id: str
    platform: str
    breach: Breach


_ENDS_POLLING: Final = ", ".join(
    f"'{kind.value}'" for kind in OutcomeKind if kind.ends_polling and kind.answered
)
_RECORDED: Final = f"""
(r.reason = 'quarantined'
 OR (r.reason = 'stopped' AND s.sync_status <> 'requires_reconnect'
     AND (COALESCE(p.platform_post_id, p.publish_id) IS NULL
          OR COALESCE(s.outcome, '') IN ({_ENDS_POLLING})
          OR (COALESCE(s.outcome, '') = '{OutcomeKind.PROCESSING.value}' AND p.platform_post_id IS NULL))))
"""
"""Condition that a row without a next run says why: it has no id to ask by, or its last outcome ended it."""

STUCK: Final = f"""
SELECT r.publication_id, r.account_id, a.platform, '{Breach.NEVER_DUE.value}' AS breach
  FROM refresh_state r
  JOIN accounts a ON a.account_id = r.account_id
  JOIN publications p ON p.id = r.publication_id
  JOIN post_analytics s ON s.publication_id = r.publication_id
 WHERE r.next_run_at IS NULL AND a.state = 'active' AND NOT {_RECORDED}
UNION ALL
SELECT r.publication_id, r.account_id, a.platform, '{Breach.FAR_FUTURE.value}'
  FROM refresh_state r JOIN accounts a ON a.account_id = r.account_id
 WHERE r.next_run_at > now() + interval '1 year' AND a.state = 'active'
   AND {NOT_PAUSED} AND {BACKGROUND_NOT_PAUSED}
UNION ALL
SELECT r.publication_id, r.account_id, a.platform, '{Breach.NOT_ACTIVE.value}'
  FROM accounts a JOIN refresh_state r ON r.account_id = a.account_id AND r.next_run_at IS NOT NULL
 WHERE a.state <> 'active'
"""
"""The checking query. Its cost grows with the rows that are no longer polled, not with those that are."""

_ROWS: Final = text(f"SELECT * FROM ({STUCK}) found ORDER BY publication_id LIMIT :most")
_COUNTS: Final = text(f"SELECT platform, breach, count(*) AS rows FROM ({STUCK}) found GROUP BY 1, 2")


def stuck(connection: Connection, *, most: int = 1_000) -> list[StuckRow]:
    """Return stuck rows in the order of their ids, at most so many."""
    return [
        StuckRow(row.publication_id, row.account_id, row.platform, Breach(row.breach))
        for row in connection.execute(_ROWS, {"most": most})
    ]


def count_stuck(connection: Connection) -> Mapping[tuple[str, Breach], int]:
    """Return how many rows are stuck, by platform and how; what is not named is none."""
    return {(row.platform, Breach(row.breach)): row.rows for row in connection.execute(_COUNTS)}
