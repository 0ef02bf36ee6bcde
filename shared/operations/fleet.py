"""Figures of the whole fleet, each defined once: for metrics, the operators' page and ``dravo status``.

Cheap at any size: the oldest overdue row costs index probes by account with due rows; open claims are
bounded by what the fleet can hold. The scheduler counts rows by status (`scheduler.summaries.row_counter`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

from shared.quota.pauses import BACKGROUND_NOT_PAUSED, NOT_PAUSED
from shared.vocabulary import Platform

# Every due row is covered by a timer that has passed or by a ready account, but for suspects, whose claims
# are open. So the cost follows the accounts that have due rows.
_OLDEST_OVERDUE: Final = text(f"""
WITH due AS MATERIALIZED (
    SELECT account_id FROM ready_accounts WHERE lane = 0
     UNION SELECT account_id FROM account_timers WHERE lane = 0 AND due_at <= now()
     UNION SELECT account_id FROM refresh_state WHERE claimed_at IS NOT NULL AND next_run_at <= now()
), oldest AS (
    SELECT a.platform, a.paused OR (a.background_paused AND first.background) AS paused, first.next_run_at
      FROM due CROSS JOIN LATERAL (
           SELECT a.account_id, a.platform, NOT ({NOT_PAUSED}) AS paused,
                  NOT ({BACKGROUND_NOT_PAUSED}) AS background_paused
             FROM accounts a WHERE a.account_id = due.account_id AND a.state = 'active' OFFSET 0) a
     CROSS JOIN LATERAL (
           (SELECT TRUE AS background, r.next_run_at FROM refresh_state r
             WHERE (r.account_id, r.next_run_at) >= (a.account_id, '-infinity')
               AND (r.account_id, r.next_run_at) <= (a.account_id, now()) AND r.priority = 0
             ORDER BY r.account_id, r.next_run_at LIMIT 1)
            UNION ALL
           (SELECT FALSE, r.next_run_at FROM refresh_state r
             WHERE (r.account_id, r.next_run_at) >= (a.account_id, '-infinity')
               AND (r.account_id, r.next_run_at) <= (a.account_id, now()) AND r.priority > 0
             ORDER BY r.account_id, r.next_run_at LIMIT 1)) first
)
SELECT platform, paused, min(next_run_at) AS due_at,
       CAST(EXTRACT(epoch FROM now() - min(next_run_at)) AS float8) AS seconds
  FROM oldest GROUP BY platform, paused
 UNION ALL
SELECT platform, FALSE, NULL, NULL FROM unnest(CAST(:platforms AS text[])) AS p (platform)
 WHERE platform NOT IN (SELECT platform FROM oldest)
   AND EXISTS (SELECT FROM accounts a WHERE a.platform = p.platform AND a.state = 'active')
""")

_ACCOUNTS: Final = text("SELECT platform, state, count(*) AS accounts FROM accounts GROUP BY platform, state")

_CLAIMED: Final = text("""
SELECT a.platform, count(r.claimed_at) AS claimed
  FROM accounts a
  LEFT JOIN refresh_state r
         ON r.account_id = a.account_id AND r.claimed_at IS NOT NULL AND r.next_run_at > now()
 GROUP BY a.platform
""")

_DUE: Final = text("""
SELECT a.platform, count(*) AS due
  FROM refresh_state r JOIN accounts a USING (account_id) WHERE r.next_run_at <= now() GROUP BY 1
""")

_QUARANTINED: Final = text("""
SELECT count(*) FROM (
       SELECT FROM refresh_state WHERE reason = 'quarantined' AND next_run_at IS NULL LIMIT :most) quarantined
""")


# The due time of a claimed row is its stale_after: next_run_at is the end of its lease.
_DELAYS: Final = text(f"""
SELECT workspace_id, CAST(max(waiting) AS float8) AS waiting, CAST(max(started) AS float8) AS started
  FROM (SELECT a.workspace_id, EXTRACT(epoch FROM now() - first.next_run_at) AS waiting, NULL AS started
          FROM accounts a
         CROSS JOIN LATERAL (
               SELECT r.next_run_at FROM refresh_state r
                WHERE r.account_id = a.account_id AND r.next_run_at <= now()
                ORDER BY r.next_run_at LIMIT 1) first
         WHERE a.state = 'active' AND {NOT_PAUSED} AND {BACKGROUND_NOT_PAUSED}
         UNION ALL
        SELECT a.workspace_id, NULL, EXTRACT(epoch FROM r.claimed_at - pa.stale_after)
          FROM refresh_state r
          JOIN accounts a ON a.account_id = r.account_id
          JOIN post_analytics pa ON pa.publication_id = r.publication_id AND pa.stale_after <= r.claimed_at
         WHERE r.claimed_at IS NOT NULL AND r.next_run_at > now()) delays
 GROUP BY workspace_id ORDER BY GREATEST(max(waiting), max(started)) DESC LIMIT :most
""")


@dataclass(frozen=True, slots=True)
class Delay:
    """The scheduling delay of a workspace: from when a row is due until its refresh starts."""

    workspace_id: str
    waiting_seconds: float | None
    """How long its longest due row has waited that no pause holds up; ``None``: none waits."""
    started_seconds: float | None
    """How long the row that waited longest, of those being refreshed, had waited; ``None``: none is."""


@dataclass(frozen=True, slots=True)
class Overdue:
    """The row that has been due for longest, of a platform's active accounts."""

    platform: str
    paused: bool
    """Whether a pause holds these rows up: it then explains why they wait."""
    due_at: datetime | None
    """``None``: no row is due."""
    seconds: float | None


def oldest_overdue(connection: Connection) -> list[Overdue]:
    """Return the longest wait of a due row, by platform, apart for rows that a pause holds up.

    A pause of background work holds up background rows alone. A platform without an active account is left
    out.
    """
    platforms = [platform.value for platform in Platform]
    return [Overdue(*row) for row in connection.execute(_OLDEST_OVERDUE, {"platforms": platforms})]


def scheduling_delays(connection: Connection, *, most: int = 20) -> list[Delay]:
    """Return the scheduling delay of the workspaces that wait longest, the longest first."""
    return [Delay(*row) for row in connection.execute(_DELAYS, {"most": most})]


def accounts_by_state(connection: Connection) -> Mapping[tuple[str, str], int]:
    """Return the number of accounts by platform and state; what is not named is none."""
    return {(row.platform, row.state): row.accounts for row in connection.execute(_ACCOUNTS)}


def claimed(connection: Connection) -> Mapping[str, int]:
    """Return the number of claimed rows by platform. A row whose lease has expired is due, not claimed."""
    return {row.platform: row.claimed for row in connection.execute(_CLAIMED)}


def due(connection: Connection) -> Mapping[str, int]:
    """Return the number of due rows by platform; what is not named is none. Its cost grows with them."""
    return {row.platform: row.due for row in connection.execute(_DUE)}


def quarantined(connection: Connection, *, most: int | None = None) -> int:
    """Return the number of quarantined rows; ``most``: at most so many are counted."""
    count: int = connection.execute(_QUARANTINED, {"most": most}).scalar_one()
    return count
