"""The invariant of every row, and the query that finds the rows that break it.

Every row of an active account is due at a known time, claimed, or stopped for a recorded reason; no row of
another account is polled. A row that breaks this is *stuck*: no tick, read or re-sync reaches it. Each
transition alone keeps the invariant; the query finds rows that two transitions at once broke.
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


_ENDING: Final = ", ".join(f"'{kind.value}'" for kind in OutcomeKind if kind.ends_polling and kind.answered)
_ENDED: Final = f"s.outcome IN ({_ENDING}) AND s.sync_status <> 'requires_reconnect'"
"""Condition on a ``post_analytics s``: its last outcome ended its polling. A partial index has these rows."""

STUCK: Final = f"""
SELECT r.publication_id, r.account_id, a.platform, '{Breach.NEVER_DUE.value}' AS breach
  FROM refresh_state r JOIN accounts a ON a.account_id = r.account_id
 WHERE r.next_run_at IS NULL AND r.reason NOT IN ('quarantined', 'stopped') AND a.state = 'active'
UNION ALL
SELECT r.publication_id, r.account_id, a.platform, '{Breach.NEVER_DUE.value}'
  FROM (SELECT r.publication_id, r.account_id FROM refresh_state r
         WHERE r.next_run_at IS NULL AND r.reason = 'stopped'
           AND NOT EXISTS (SELECT FROM post_analytics s
                            WHERE s.publication_id = r.publication_id AND {_ENDED})
        OFFSET 0) r
  JOIN accounts a ON a.account_id = r.account_id
  JOIN publications p ON p.id = r.publication_id
 CROSS JOIN LATERAL (
       SELECT s.sync_status, s.outcome FROM post_analytics s
        WHERE s.publication_id = r.publication_id OFFSET 0) s
 WHERE a.state = 'active'
   AND (s.sync_status = 'requires_reconnect'
        OR (COALESCE(p.platform_post_id, p.publish_id) IS NOT NULL
            AND NOT (COALESCE(s.outcome, '') = '{OutcomeKind.PROCESSING.value}'
                     AND p.platform_post_id IS NULL)))
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
"""The checking query. A stopped row has a recorded reason when it has no id to be fetched by, or when its
last outcome ended its polling.

The cost grows with the rows that are no longer polled. The index ``post_analytics_ended`` answers for those
that have ended; the wide tables are read for the few others alone.
"""

_ROWS: Final = text(f"SELECT * FROM ({STUCK}) stuck ORDER BY publication_id LIMIT :most")
_COUNTS: Final = text(f"SELECT platform, breach, count(*) AS rows FROM ({STUCK}) stuck GROUP BY 1, 2")


def stuck(connection: Connection, *, most: int = 1_000) -> list[StuckRow]:
    """Return stuck rows in the order of their ids, at most ``most``."""
    return [
        StuckRow(row.publication_id, row.account_id, row.platform, Breach(row.breach))
        for row in connection.execute(_ROWS, {"most": most})
    ]


def count_stuck(connection: Connection) -> Mapping[tuple[str, Breach], int]:
    """Return how many rows are stuck, by platform and breach; what is not named is none."""
    return {(row.platform, Breach(row.breach)): row.rows for row in connection.execute(_COUNTS)}
