"""The queue of accounts that have due rows: what a claim reads of it, and what it stores.

Whoever deletes timers of an account or writes its ready row holds its lock (`ready.locks`).
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from math import inf
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from shared.quota.pauses import BACKGROUND_NOT_PAUSED, NOT_PAUSED
from shared.refresh_state.ready.in_flight import SUSPECT_STARTS
from shared.refresh_state.ready.locks import ACCOUNT
from shared.refresh_state.ready.memory import QueueStart
from shared.vocabulary import Lane, Platform

TIMERS_AT_ONCE: Final = 256
"""Timers that one statement ends. It locks their accounts, and PostgreSQL's table of locks is bounded."""

NUMBERS: Final = {Lane.BACKGROUND: 0, Lane.INTERACTIVE: 1}
"""The number of a lane in the tables: the least ``priority`` of a row in it."""

_PLATFORMS: Final = [platform.value for platform in Platform]
_NOT_PAUSED: Final = {
    Lane.INTERACTIVE: NOT_PAUSED,
    Lane.BACKGROUND: f"{NOT_PAUSED} AND {BACKGROUND_NOT_PAUSED}",
}
_PRIORITY: Final = {Lane.INTERACTIVE: "AND s.priority > 0", Lane.BACKGROUND: ""}

# Rows are compared instead of columns, and `lane + 0` instead of `lane`, so that one index alone can answer:
# neither statistics nor a plan from the time of an empty table then makes PostgreSQL prefer another.
# `OFFSET 0` makes it look rows up one by one.
_TIMERS_OF: Final = "t.account_id = {account} AND t.lane + 0 = :lane"
_READY: Final = "r.account_id = {account} AND r.lane + 0 = :lane"
_SHARE: Final = """SELECT * FROM turns
              WHERE (scope, subject) >= ('{scope}', {subject}) AND (scope, subject) <= ('{scope}', {subject})
             OFFSET 0"""
_ACCOUNT: Final = "SELECT * FROM accounts WHERE account_id = {name}.account_id OFFSET 0"
_DUE: Final = """(t.lane, t.due_at) >= (CAST(:lane AS smallint), COALESCE(CAST(:timers_from AS timestamptz),
                                                                          '-infinity'))
       AND (t.lane, t.due_at) <= (CAST(:lane AS smallint), now())"""

_LAST_TIME: Final = """
SELECT GREATEST(:present, COALESCE({served}, 0), COALESCE((
       SELECT q.virtual_time FROM ready_accounts q
        WHERE (q.lane, q.platform, q.workspace_id, q.virtual_time)
              >= (CAST(:lane AS smallint), a.platform, a.workspace_id, CAST(:present AS float8))
          AND (q.lane, q.platform, q.workspace_id, q.virtual_time)
              < (CAST(:lane AS smallint), a.platform, a.workspace_id, CAST('Infinity' AS float8))
        ORDER BY q.lane DESC, q.platform DESC, q.workspace_id DESC, q.virtual_time DESC LIMIT 1), 0)
       ) AS virtual_time
"""
"""The virtual time of a workspace after which its next account is placed. A workspace that is new, or was
idle, begins at the present virtual time, without older credit."""

_ROWS_FROM: Final = f"""
SELECT min(rows_from) AS rows_from FROM (
       SELECT r.rows_from FROM ready_accounts r WHERE {_READY.format(account="c.account_id")}
        UNION ALL
       SELECT t.rows_from FROM account_timers t
        WHERE {_TIMERS_OF.format(account="c.account_id")} AND t.due_at <= now()) each
"""  # noqa: S608 - all parts are constants
"""No due row of an account is earlier. A scan that begins here passes no entries of rows that moved on, which
an index keeps for as long as any session holds a snapshot."""

_PRESENT: Final = text("""
SELECT COALESCE(min(served - latest_cost / weight), 0) FROM turns
 WHERE scope = 'workspace' AND served_at = (
       SELECT served_at FROM turns WHERE scope = 'workspace' ORDER BY served_at DESC LIMIT 1)
""")

_NEXT_TIMER: Final = text("""
SELECT GREATEST(t.due_at - now(), interval '0') FROM account_timers t
 WHERE (t.lane, t.due_at) > (CAST(:lane AS smallint), now())
   AND (t.lane, t.due_at) <= (CAST(:lane AS smallint), now() + interval '1 day')
 ORDER BY t.lane, t.due_at LIMIT 1
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
SELECT count(*) FROM due
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
SELECT count(*) FROM ended
"""

_SETTLE: Final = """
WITH served AS MATERIALIZED (
    SELECT c.account_id, a.workspace_id, a.platform, c.weight, c.served, next.next_run_at
      FROM unnest(CAST(:account_ids AS text[]), CAST(:weights AS float8[]), CAST(:served AS float8[]))
           AS c (account_id, weight, served)
      LEFT JOIN LATERAL ({accounts_of_c}) a ON TRUE
     CROSS JOIN LATERAL ({rows_from}) known
      LEFT JOIN LATERAL (
           SELECT s.next_run_at FROM refresh_state s
             WHERE (s.account_id, s.next_run_at)
                  >= (a.account_id, COALESCE(known.rows_from, '-infinity'))
              AND (s.account_id, s.next_run_at) <= (a.account_id, 'infinity') {priority}
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


_NAMES: Final = ("c", "locked", "n", "q")
"""What statements call the rows whose accounts they look up."""


def _by_lane(statement: str, served: str = "w.served", account: str = "a.account_id") -> dict[Lane, Any]:
    return {
        lane: text(
            statement.format(
                not_paused=_NOT_PAUSED[lane],
                priority=_PRIORITY[lane],
                rows_from=_ROWS_FROM,
                due=_DUE,
                share=_SHARE.format(scope="workspace", subject="a.workspace_id"),
                share_of_workspace=_SHARE.format(scope="workspace", subject="w.workspace_id"),
                own_share=_SHARE.format(scope="account", subject=account),
                **{f"accounts_of_{name}": _ACCOUNT.format(name=name) for name in _NAMES},
                timers_of_locked=_TIMERS_OF.format(account="locked.account_id"),
                timers_of_served=_TIMERS_OF.format(account="served.account_id"),
                ready_of_full=_READY.format(account="f.account_id"),
                ready_of_served=_READY.format(account="served.account_id"),
                ready_of_placed=_READY.format(account="placed.account_id"),
                last_time=_LAST_TIME.format(served=served),
            )
        )
        for lane in Lane
    }


_READS: Final = _by_lane(_READ, account="c.account_id")
_ADDS: Final = _by_lane(_ADD_DUE)
_PAUSES: Final = _by_lane(_PAUSE)
_RESUMES: Final = _by_lane(_RESUME)
_SETTLES: Final = _by_lane(_SETTLE, served="a.served")


def present(connection: Connection) -> float:
    """Return the present virtual time: the one at which the latest job began."""
    now: float = connection.execute(_PRESENT).scalar_one()
    return now


def read(
    connection: Connection,
    lane: Lane,
    start: QueueStart,
    *,
    full: Collection[str],
    most: int,
    next_suspect: int | None,
) -> Sequence[Row[Any]]:
    """Return ready accounts and accounts whose timer has passed, ``most`` of each platform and of the latter.

    Ready accounts that are ``full`` do not count among the most. ``next_suspect``: the suspect that may be
    taken, whose account is among the result. ``due_at`` is empty where an account has no due row after all,
    or does not exist.
    """
    bound = {
        "lane": NUMBERS[lane],
        "platforms": _PLATFORMS,
        "times": [start.virtual_times.get(platform, -inf) for platform in _PLATFORMS],
        "timers_from": start.timers,
        "full": list(full),
        "most": most,
        "next_suspect": next_suspect,
        "suspect_starts": SUSPECT_STARTS,
    }
    return connection.execute(_READS[lane], bound).all()


def next_timer(connection: Connection, lane: Lane) -> timedelta | None:
    """Return when the lane's next timer passes; ``None``: not within a day."""
    wait: timedelta | None = connection.execute(_NEXT_TIMER, {"lane": NUMBERS[lane]}).scalar_one_or_none()
    return wait


def add_due(connection: Connection, lane: Lane) -> bool:
    """Put accounts whose timer has passed in the queue; return whether there may be more of them.

    An account that a claim has locked is left to it, with its timers.
    """
    bound = {
        "lane": NUMBERS[lane],
        "timers_from": None,
        "present": present(connection),
        "most": TIMERS_AT_ONCE,
        "account_lock": ACCOUNT,
    }
    timers: int = connection.execute(_ADDS[lane], bound).scalar_one()
    return timers == TIMERS_AT_ONCE


def pause(connection: Connection, lane: Lane, account_ids: Sequence[str]) -> None:
    """Let no claim read these accounts until `resume` finds that they may be read, or a timer passes."""
    bound = {"lane": NUMBERS[lane], "account_ids": list(account_ids), "account_lock": ACCOUNT}
    connection.execute(_PAUSES[lane], bound)


def resume(connection: Connection, lane: Lane, now: float) -> bool:
    """Put paused accounts back in the queue that are active and that no pause applies to any more.

    Returns whether it looked at all of them.
    """
    bound = {
        "lane": NUMBERS[lane],
        "platforms": _PLATFORMS,
        "present": now,
        "most": TIMERS_AT_ONCE,
        "account_lock": ACCOUNT,
    }
    resumed: int = connection.execute(_RESUMES[lane], bound).scalar_one()
    return resumed < TIMERS_AT_ONCE


def settle(
    connection: Connection, lane: Lane, now: float, accounts: Mapping[str, tuple[float, float]]
) -> None:
    """Store when these accounts, which the caller has locked, are due next: in the queue or by a timer.

    ``accounts``: weight and virtual time of their workspaces, by account id.
    """
    bound = {
        "lane": NUMBERS[lane],
        "present": now,
        "account_ids": list(accounts),
        "weights": [weight for weight, _ in accounts.values()],
        "served": [served for _, served in accounts.values()],
        "suspect_starts": SUSPECT_STARTS,
    }
    connection.execute(_SETTLES[lane], bound)
