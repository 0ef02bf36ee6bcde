"""Transition ``replan``: rows that wait for their ``stale_after`` are due earlier, under another policy."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

_REPLAN: Final = text("""
WITH earlier AS (
    SELECT s.publication_id, o.at
      FROM unnest(CAST(:ids AS bigint[]), CAST(:ats AS timestamptz[])) AS o (id, at)
      JOIN refresh_state s ON s.publication_id = o.id
     WHERE s.reason = 'stale' AND s.next_run_at > now() AND s.next_run_at > o.at
     ORDER BY s.publication_id FOR UPDATE OF s
), moved AS (
    UPDATE refresh_state AS r SET next_run_at = earlier.at
      FROM earlier WHERE r.publication_id = earlier.publication_id
)
UPDATE post_analytics AS a SET stale_after = earlier.at
  FROM earlier WHERE a.publication_id = earlier.publication_id
RETURNING a.publication_id
""")


def replan(connection: Connection, next_run_ats: Mapping[int, datetime]) -> int:
    """Move these publications' next runs forward, and their ``stale_after`` with them; return how many moved.

    Only rows that wait for their ``stale_after`` and only to an earlier instant: a later one comes with the
    next refresh by itself.
    """
    ids = sorted(next_run_ats)
    bound = {"ids": ids, "ats": [next_run_ats[publication_id] for publication_id in ids]}
    return len(connection.execute(_REPLAN, bound).all())
