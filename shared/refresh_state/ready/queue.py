"""The queue of accounts that have due rows, and its timers: what claims and their scheduler store.

Whoever deletes timers of an account or writes its ready row holds its lock (`ready.locks`).
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

from shared.refresh_state.ready.in_flight import PRESENT, SUSPECT_STARTS
from shared.refresh_state.ready.locks import ACCOUNT
from shared.refresh_state.ready.parts import NUMBERS, PLATFORMS, by_lane
from shared.vocabulary import Lane

TIMERS_AT_ONCE: Final = 256
"""Timers that one statement ends. It locks their accounts, and PostgreSQL's table of locks is bounded."""

_ADD_DUE: Final = """
WITH due AS MATERIALIZED (
    SELECT t.account_id FROM account_timers t WHERE {due} ORDER BY t.lane, t.due_at LIMIT :most
), locked AS MATERIALIZED (
    SELECT account_id FROM (SELECT DISTINCT account_id FROM due) each
     WHERE pg_try_advisory_xact_lock(:account_lock, hashtext(account_id))
), ended AS (
    DELETE FROM account_timers t USING locked
     WHERE {timers_of_locked} AND t.due_at <= now()
    RETURNING t.account_id, t.rows_from
), added AS (
    INSERT INTO ready_accounts AS r (lane, account_id, workspace_id, platform, virtual_time, rows_from)
    SELECT :lane, a.account_id, a.workspace_id, a.platform,
           last.virtual_time + row_number() OVER (PARTITION BY a.workspace_id, a.platform
                                          ORDER BY own.served_at NULLS FIRST, n.rows_from, a.account_id)
                       / COALESCE(w.weight, 1),
           n.rows_from
      FROM (SELECT account_id, min(rows_from) AS rows_from FROM ended GROUP BY account_id) n
      CROSS JOIN LATERAL ({accounts_of_n}) a
      LEFT JOIN LATERAL ({share}) w ON TRUE
      LEFT JOIN LATERAL ({own_share}) own ON TRUE
     CROSS JOIN LATERAL ({last_time}) last
        ON CONFLICT (lane, account_id) DO UPDATE
           SET rows_from = LEAST(r.rows_from, excluded.rows_from),
               virtual_time = CASE r.virtual_time WHEN 'Infinity' THEN excluded.virtual_time
                                                  ELSE r.virtual_time END
)
SELECT count(*) AS timers FROM due
"""

_PAUSE: Final = """
WITH locked AS MATERIALIZED (
    SELECT account_id FROM unnest(CAST(:account_ids AS text[])) AS a (account_id)
     WHERE pg_try_advisory_xact_lock(:account_lock, hashtext(account_id))
), ended AS (
    DELETE FROM account_timers t USING locked
     WHERE {timers_of_locked} AND t.due_at <= now()
)
INSERT INTO ready_accounts AS r (lane, account_id, workspace_id, platform, virtual_time, rows_from)
SELECT :lane, a.account_id, a.workspace_id, a.platform, 'Infinity', known.rows_from
  FROM locked c CROSS JOIN LATERAL ({accounts_of_c}) a
 CROSS JOIN LATERAL ({rows_from}) known
 WHERE known.rows_from IS NOT NULL
    ON CONFLICT (lane, account_id) DO UPDATE
       SET virtual_time = excluded.virtual_time, rows_from = excluded.rows_from
"""

_RESUME: Final = """
WITH ended AS MATERIALIZED (
           SELECT q.account_id
             FROM unnest(CAST(:platforms AS text[])) AS p (platform)
            CROSS JOIN LATERAL (
                  SELECT r.account_id FROM ready_accounts r
                   WHERE (r.lane, r.platform, r.virtual_time)
                         >= (CAST(:lane AS smallint), p.platform, CAST('Infinity' AS float8))
                     AND (r.lane, r.platform, r.virtual_time)
                         <= (CAST(:lane AS smallint), p.platform, CAST('Infinity' AS float8))) q
             CROSS JOIN LATERAL ({accounts_of_q}) a
            WHERE a.state = 'active' AND {not_paused}
            LIMIT :most
), locked AS MATERIALIZED (
    SELECT account_id FROM ended WHERE pg_try_advisory_xact_lock(:account_lock, hashtext(account_id))
), placed AS (
    SELECT a.account_id,
           last.virtual_time
           + row_number() OVER (PARTITION BY a.workspace_id, a.platform ORDER BY a.account_id)
             / COALESCE(w.weight, 1) AS virtual_time
      FROM locked CROSS JOIN LATERAL ({accounts_of_locked}) a
      LEFT JOIN LATERAL ({share}) w ON TRUE
     CROSS JOIN LATERAL ({last_time}) last
), resumed AS (
    UPDATE ready_accounts AS r SET virtual_time = placed.virtual_time
      FROM placed WHERE {ready_of_placed}
)
SELECT count(*) AS accounts FROM ended
"""

_SETTLE: Final = """
WITH served AS MATERIALIZED (
    SELECT c.account_id, COALESCE(c.workspace_id, new.workspace_id) AS workspace_id,
           COALESCE(c.platform, new.platform) AS platform, c.weight, c.served, next.next_run_at
      FROM unnest(CAST(:account_ids AS text[]), CAST(:workspace_ids AS text[]), CAST(:names AS text[]),
                  CAST(:weights AS float8[]), CAST(:served AS float8[]))
           AS c (account_id, workspace_id, platform, weight, served)
      -- an account that did not exist when its timer was read
      LEFT JOIN LATERAL (SELECT workspace_id, platform FROM accounts
                          WHERE c.platform IS NULL AND account_id = c.account_id OFFSET 0) new ON TRUE
     CROSS JOIN LATERAL ({rows_from}) known
      LEFT JOIN LATERAL (
           SELECT s.next_run_at FROM refresh_state s
             WHERE (s.account_id, s.next_run_at)
                  >= (c.account_id, COALESCE(known.rows_from, '-infinity'))
              AND (s.account_id, s.next_run_at) <= (c.account_id, 'infinity') {priority}
              AND (s.unfinished < :suspect_starts OR s.claimed_at IS NULL)
            ORDER BY s.account_id, s.next_run_at LIMIT 1) next ON TRUE
), ended AS (
    -- this snapshot has the rows of every timer that it shows
    DELETE FROM account_timers t USING served WHERE {timers_of_served}
), later AS (
    DELETE FROM ready_accounts r USING served
     WHERE {ready_of_served} AND (served.next_run_at IS NULL OR served.next_run_at > now())
), timed AS (
    INSERT INTO account_timers (account_id, lane, due_at, rows_from)
    SELECT account_id, :lane, next_run_at, next_run_at FROM served WHERE next_run_at > now()
)
INSERT INTO ready_accounts AS r (lane, account_id, workspace_id, platform, virtual_time, rows_from)
SELECT :lane, a.account_id, a.workspace_id, a.platform,
       last.virtual_time + row_number() OVER (PARTITION BY a.workspace_id, a.platform ORDER BY a.account_id)
                   / a.weight,
       a.next_run_at
  FROM served a CROSS JOIN LATERAL ({last_time}) last
 WHERE a.next_run_at <= now()
    ON CONFLICT (lane, account_id) DO UPDATE
       SET virtual_time = excluded.virtual_time, rows_from = excluded.rows_from
"""

_ADDS: Final = by_lane(_ADD_DUE)
_PAUSES: Final = by_lane(_PAUSE)
_RESUMES: Final = by_lane(_RESUME)
_SETTLES: Final = by_lane(_SETTLE, served="a.served")
_PRESENT: Final = text(PRESENT)


def add_due(connection: Connection, lane: Lane) -> bool:
    """Put accounts whose timer has passed in the queue; return whether there may be more of them.

    An account that a claim has locked is left to it, with its timers.
    """
    bound = {
        "lane": NUMBERS[lane],
        "timers_from": None,
        "present": connection.execute(_PRESENT).scalar_one(),
        "most": TIMERS_AT_ONCE,
        "account_lock": ACCOUNT,
    }
    (added,) = _ADDS[lane].all(connection, bound)
    return bool(added.timers == TIMERS_AT_ONCE)


def pause(connection: Connection, lane: Lane, account_ids: Sequence[str]) -> None:
    """Let no claim read these accounts until `resume` finds that they may be read, or a timer passes."""
    bound = {"lane": NUMBERS[lane], "account_ids": list(account_ids), "account_lock": ACCOUNT}
    _PAUSES[lane].run(connection, bound)


def resume(connection: Connection, lane: Lane, now: float) -> bool:
    """Put paused accounts back in the queue that are active and that no pause applies to any more.

    Returns whether it looked at all of them.
    """
    bound = {
        "lane": NUMBERS[lane],
        "platforms": PLATFORMS,
        "present": now,
        "most": TIMERS_AT_ONCE,
        "account_lock": ACCOUNT,
    }
    (resumed,) = _RESUMES[lane].all(connection, bound)
    return bool(resumed.accounts < TIMERS_AT_ONCE)


class Served(NamedTuple):
    """An account that a claim has locked, and its workspace's weight and virtual time."""

    account_id: str
    workspace_id: str | None
    """``None``: the account did not exist when it was read."""
    platform: str | None
    weight: float
    served: float


def settle(connection: Connection, lane: Lane, now: float, accounts: Sequence[Served]) -> None:
    """Store when these accounts, which the caller has locked, are due next: in the queue or by a timer."""
    bound = {
        "lane": NUMBERS[lane],
        "present": now,
        "account_ids": [one.account_id for one in accounts],
        "workspace_ids": [one.workspace_id for one in accounts],
        "names": [one.platform for one in accounts],
        "weights": [one.weight for one in accounts],
        "served": [one.served for one in accounts],
        "suspect_starts": SUSPECT_STARTS,
    }
    _SETTLES[lane].run(connection, bound)
