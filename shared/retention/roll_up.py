"""Roll-up of a month of readings: the last reading of each UTC day, and the newest reading of each post.

Counters are cumulative, so the last value of a day is its true one. A metric that a reading lacks stays
missing. Runs in batches of publications, each in a transaction of its own.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

from sqlalchemy import Connection, text

from shared.retention.months import Month, make_daily_month
from shared.retention.policy import DataClass, Group, Retention

PUBLICATIONS_AT_ONCE: Final = 500
"""Publications of one batch: at 120 readings a month, 60,000 rows are read and at most 15,500 written."""
UNIT: Final = "roll_up"
_NONE: Final = timedelta()

_PAGE: Final = """
SELECT DISTINCT publication_id FROM {month} WHERE publication_id > :after ORDER BY publication_id LIMIT :most
"""
# Locked, so that a publication that is deleted meanwhile takes its new rows along.
_EXISTING: Final = text("SELECT id FROM publications WHERE id = ANY(:ids) ORDER BY id FOR KEY SHARE")
_DAILY: Final = """
INSERT INTO daily_snapshots (publication_id, taken_at, last_seen_at, reads, sync_status, metrics)
SELECT DISTINCT ON (s.publication_id, day)
       s.publication_id, s.taken_at, s.last_seen_at, s.reads, s.sync_status, s.metrics
  FROM {month} s
  JOIN publications p ON p.id = s.publication_id
  JOIN accounts a ON a.account_id = p.account_id
 CROSS JOIN LATERAL (SELECT date_trunc('day', s.taken_at AT TIME ZONE 'UTC') AS day) AS d
 WHERE s.publication_id = ANY(:ids) AND NOT ({no_roll_up})
 ORDER BY s.publication_id, day, s.taken_at DESC
ON CONFLICT (publication_id, taken_at) DO NOTHING
"""
_NEWEST: Final = """
INSERT INTO last_snapshots AS l (publication_id, taken_at, last_seen_at, reads, sync_status, metrics)
SELECT s.publication_id, s.taken_at, s.last_seen_at, s.reads, s.sync_status, s.metrics
  FROM {month} s
  JOIN post_analytics n ON n.publication_id = s.publication_id AND n.snapshot_at = s.taken_at
  JOIN publications p ON p.id = s.publication_id
  JOIN accounts a ON a.account_id = p.account_id
 WHERE s.publication_id = ANY(:ids) AND NOT ({no_roll_up})
ON CONFLICT (publication_id) DO UPDATE
   SET taken_at = excluded.taken_at, last_seen_at = excluded.last_seen_at, reads = excluded.reads,
       sync_status = excluded.sync_status, metrics = excluded.metrics
"""
_SAVE: Final = text("""
INSERT INTO retention_runs (unit, month, after_id, ended_at)
VALUES (:unit, :month, :after, CASE WHEN :ended THEN now() END)
ON CONFLICT (unit) DO UPDATE
   SET month = excluded.month, after_id = excluded.after_id, ended_at = excluded.ended_at
""")
_PROGRESS: Final = text("SELECT month, after_id, ended_at FROM retention_runs WHERE unit = :unit")


def members(group: Group) -> str:
    """Return the condition on ``accounts a`` that holds for a group's accounts."""
    if group is Group.LINKEDIN_MEMBER:
        return "(a.platform = 'linkedin' AND a.kind = 'member')"
    if group is Group.LINKEDIN:
        return "(a.platform = 'linkedin' AND a.kind IS DISTINCT FROM 'member')"
    return f"(a.platform = '{group.platform.value}')"


def is_rolled_up(connection: Connection, month: Month) -> bool:
    """Return whether every reading of this month has been rolled up."""
    row = connection.execute(_PROGRESS, {"unit": UNIT}).one_or_none()
    return row is not None and row.month == month.start and row.ended_at is not None


def roll_up(connection: Connection, month: Month, policy: Retention) -> bool:
    """Roll up the next publications of a month; return whether any are left. Continues where it stopped."""
    row = connection.execute(_PROGRESS, {"unit": UNIT}).one_or_none()
    after = row.after_id if row is not None and row.month == month.start else 0
    make_daily_month(connection, month.start)
    bound = {"after": after, "most": PUBLICATIONS_AT_ONCE}
    page = list(connection.execute(text(_PAGE.format(month=month.name)), bound).scalars())
    ids = list(connection.execute(_EXISTING, {"ids": page}).scalars())
    _write(connection, month, ids, policy)
    left = len(page) == PUBLICATIONS_AT_ONCE
    _save(connection, month.start, page[-1] if page else after, ended=not left)
    return left


def _write(connection: Connection, month: Month, ids: Sequence[int], policy: Retention) -> None:
    without = [group for group in Group if policy.of(DataClass.DAILY, group) == _NONE]
    no_roll_up = " OR ".join(members(group) for group in without) or "FALSE"
    for statement in (_DAILY, _NEWEST):
        text_ = text(statement.format(month=month.name, no_roll_up=no_roll_up))
        connection.execute(text_, {"ids": list(ids)})


def _save(connection: Connection, month: date, after: int, *, ended: bool) -> None:
    connection.execute(_SAVE, {"unit": UNIT, "month": month, "after": after, "ended": ended})
