"""What a claim reads: ready accounts, and accounts whose timer has passed."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from math import inf
from typing import Any, Final

from sqlalchemy import Connection, text

from shared.refresh_state.ready.in_flight import SUSPECT_STARTS
from shared.refresh_state.ready.memory import QueueStart
from shared.refresh_state.ready.parts import NUMBERS, PLATFORMS, by_lane
from shared.vocabulary import Lane

_NEXT_TIMER: Final = text("""
SELECT CASE WHEN EXISTS (SELECT FROM account_timers t
                          WHERE (t.lane, t.due_at) > (CAST(:lane AS smallint), timestamptz '-infinity')
                            AND (t.lane, t.due_at) <= (CAST(:lane AS smallint), now()))
              OR EXISTS (SELECT FROM unnest(CAST(:platforms AS text[])) AS p (platform)
                          CROSS JOIN LATERAL (
                                SELECT FROM ready_accounts r
                                 WHERE (r.lane, r.platform, r.virtual_time)
                                       >= (CAST(:lane AS smallint), p.platform, CAST('-Infinity' AS float8))
                                   AND (r.lane, r.platform, r.virtual_time)
                                       < (CAST(:lane AS smallint), p.platform, CAST('Infinity' AS float8))
                                 LIMIT 1) waits)
            THEN interval '0'
            ELSE (SELECT t.due_at - now() FROM account_timers t
                   WHERE (t.lane, t.due_at) > (CAST(:lane AS smallint), now())
                     AND (t.lane, t.due_at) <= (CAST(:lane AS smallint), now() + interval '1 day')
                   ORDER BY t.lane, t.due_at LIMIT 1) END
""")

_READ: Final = """
WITH due AS MATERIALIZED (
    SELECT t.account_id, t.due_at, t.rows_from FROM account_timers t
     WHERE {due} ORDER BY t.lane, t.due_at LIMIT :most
), ready AS MATERIALIZED (
    SELECT q.account_id, q.virtual_time, q.rows_from
      FROM unnest(CAST(:platforms AS text[]), CAST(:times AS float8[])) AS p (platform, time)
     CROSS JOIN LATERAL (
           SELECT r.account_id, r.virtual_time, r.rows_from FROM ready_accounts r
            WHERE (r.lane, r.platform, r.virtual_time) >= (CAST(:lane AS smallint), p.platform, p.time)
              AND (r.lane, r.platform, r.virtual_time)
                  < (CAST(:lane AS smallint), p.platform, CAST('Infinity' AS float8))
              AND r.account_id <> ALL(CAST(:full AS text[]))
            ORDER BY r.lane, r.platform, r.virtual_time LIMIT :most) q
     UNION ALL
    SELECT r.account_id, r.virtual_time, r.rows_from FROM unnest(CAST(:full AS text[])) AS f (account_id)
     CROSS JOIN LATERAL (SELECT * FROM ready_accounts r WHERE {ready_of_full}) r
), candidates AS MATERIALIZED (
    SELECT c.account_id, a.workspace_id, a.platform, a.kind, a.state = 'active' AND {not_paused} AS readable,
           c.virtual_time, first.next_run_at
      FROM (SELECT account_id, min(virtual_time) AS virtual_time, min(rows_from) AS rows_from FROM (
                   SELECT account_id, virtual_time, rows_from FROM ready
                    UNION ALL SELECT account_id, NULL, rows_from FROM due
                    UNION ALL SELECT s.account_id, NULL, s.next_run_at FROM refresh_state s
                               WHERE s.publication_id = :next_suspect) each
             GROUP BY account_id) c
      LEFT JOIN LATERAL ({accounts_of_c}) a ON TRUE
      LEFT JOIN LATERAL (
           SELECT s.next_run_at FROM refresh_state s
            WHERE (s.account_id, s.next_run_at)
                  >= (a.account_id, c.rows_from)
              AND (s.account_id, s.next_run_at) <= (a.account_id, now()) {priority}
              AND (s.unfinished < :suspect_starts OR s.claimed_at IS NULL
                   OR s.publication_id = :next_suspect)
            ORDER BY s.account_id, s.next_run_at LIMIT 1) first ON TRUE
), shares AS MATERIALIZED (
    -- once for each workspace: while a session holds a snapshot, every look at its row passes former ones
    SELECT w.workspace_id, t.weight, t.served
      FROM (SELECT DISTINCT workspace_id FROM candidates) w
     CROSS JOIN LATERAL ({share_of_workspace}) t
)
SELECT c.account_id, c.workspace_id, c.platform, c.kind, c.readable, c.virtual_time,
       CAST(c.next_run_at AS text) AS rows_from,
       CAST(EXTRACT(epoch FROM c.next_run_at) AS float8) AS due_at,
       COALESCE(w.weight, 1) AS weight, COALESCE(w.served, 0) AS served,
       COALESCE(CAST(EXTRACT(epoch FROM own.served_at) AS float8), 0) AS served_at,
       (SELECT count(*) FROM due) AS timers,
       (SELECT GREATEST(min(due_at), '0001-01-01 00:00Z') FROM due) AS first_timer
  FROM candidates c
  LEFT JOIN shares w ON w.workspace_id = c.workspace_id
  LEFT JOIN LATERAL ({own_share}) own ON TRUE
"""
_READS: Final = by_lane(_READ, account="c.account_id")


def read(
    connection: Connection,
    lane: Lane,
    start: QueueStart,
    *,
    full: Collection[str],
    most: int,
    next_suspect: int | None,
) -> Sequence[Any]:
    """Return ready accounts and accounts whose timer has passed, ``most`` of each platform and of the latter.

    Ready accounts that are ``full`` do not count among the most. ``next_suspect``: the suspect that may be
    taken, whose account is among the result. ``due_at`` is empty where an account has no due row after all,
    or does not exist.
    """
    bound = {
        "lane": NUMBERS[lane],
        "platforms": PLATFORMS,
        "times": [start.virtual_times.get(platform, -inf) for platform in PLATFORMS],
        "timers_from": start.timers,
        "full": list(full),
        "most": most,
        "next_suspect": next_suspect,
        "suspect_starts": SUSPECT_STARTS,
    }
    return _READS[lane].all(connection, bound)


def next_timer(connection: Connection, lane: Lane) -> timedelta | None:
    """Return when the lane's next timer passes; ``None``: not within a day.

    Zero while an account is due and waits for something else: one of its own jobs to end, or a job of its
    platform, or another claim. Accounts whose reads are paused do not count.
    """
    bound = {"lane": NUMBERS[lane], "platforms": list(PLATFORMS)}
    wait: timedelta | None = connection.execute(_NEXT_TIMER, bound).scalar_one_or_none()
    return wait
