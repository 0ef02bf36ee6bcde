"""Fair share: the accounts that get the next jobs, in order.

Deficit round robin whose counters are stored in the table ``turns``. The unit is a job: the jobs given to a
workspace are counted, divided by its weight, and the workspace with the lowest count (its virtual time) is
next; inside a workspace the account that was served longest ago is next. So shares hold however few jobs one
claim hands out, and a workspace that becomes active waits for one job, not for the backlog of another.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, text

from shared.quota.pauses import BACKGROUND_NOT_PAUSED, NOT_PAUSED
from shared.vocabulary import Lane

_ACCOUNT_LOCK = 720_572_100
"""First half of the advisory locks that let one claim at a time take jobs of an account."""

_NOT_PAUSED = {
    Lane.INTERACTIVE: NOT_PAUSED,
    Lane.BACKGROUND: f"{NOT_PAUSED} AND {BACKGROUND_NOT_PAUSED}",
}

_IN_FLIGHT = """
in_flight AS MATERIALIZED (
    SELECT account_id, count(DISTINCT claimed_at) AS jobs
      FROM refresh_state WHERE claimed_at IS NOT NULL AND next_run_at > now() GROUP BY account_id
), platform_jobs AS MATERIALIZED (
    SELECT a.platform, sum(f.jobs) AS jobs FROM in_flight f JOIN accounts a USING (account_id)
     GROUP BY a.platform
), suspects AS MATERIALIZED (
    SELECT s.publication_id, s.next_run_at
      FROM refresh_state s JOIN accounts a USING (account_id)
     WHERE s.claimed_at IS NOT NULL AND s.unfinished >= :suspect
       AND (s.next_run_at > now() OR (a.state = 'active' AND {not_paused}))
), next_suspect AS MATERIALIZED (
    SELECT publication_id FROM suspects
     WHERE NOT EXISTS (SELECT 1 FROM suspects WHERE next_run_at > now())
     ORDER BY next_run_at, publication_id LIMIT 1
"""

IN_FLIGHT = {lane: _IN_FLIGHT.format(not_paused=_NOT_PAUSED[lane]).strip() for lane in Lane}
"""Common table expressions over claimed rows: ``in_flight``, ``platform_jobs`` and ``next_suspect``."""

_CHOOSE = """
WITH limits AS (
    SELECT * FROM unnest(CAST(:platforms AS text[]), CAST(:members AS bool[]), CAST(:batches AS int[]),
                         CAST(:top_ups AS float8[])) AS l (platform, member, batch, top_up)
), {in_flight}
), ready AS MATERIALIZED (
    SELECT a.account_id, a.workspace_id, a.platform, l.batch, l.top_up, first.next_run_at AS due_at,
           COALESCE(p.jobs, 0) AS platform_jobs
      FROM accounts a
      JOIN limits l ON l.platform = a.platform AND l.member = (COALESCE(a.kind, '') = 'member')
      LEFT JOIN in_flight f USING (account_id)
      LEFT JOIN platform_jobs p ON p.platform = a.platform
     CROSS JOIN LATERAL (
           SELECT r.next_run_at FROM refresh_state r
            WHERE r.account_id = a.account_id AND r.next_run_at <= now() {lane}
              AND (r.unfinished < :suspect OR r.claimed_at IS NULL
                   OR r.publication_id = (SELECT publication_id FROM next_suspect))
            ORDER BY r.next_run_at LIMIT 1) first
     WHERE a.state = 'active' AND COALESCE(f.jobs, 0) < :account_jobs AND {not_paused}
), capacity AS (
    -- the more platforms have work, the fewer of the threads may wait for one of them
    SELECT platform, CASE WHEN count(*) OVER () = 1 THEN :platform_jobs
                          ELSE LEAST(:platform_jobs, ceil(CAST(:shared_jobs AS float8) / count(*) OVER ()))
                     END AS jobs
      FROM (SELECT platform FROM ready UNION SELECT platform FROM platform_jobs) busy
), present AS (
    -- the virtual time at which the latest job was given
    SELECT COALESCE(min(served - 1 / weight), 0) AS served FROM turns
     WHERE scope = 'workspace'
       AND served_at = (SELECT max(served_at) FROM turns WHERE scope = 'workspace')
), shares AS (
    -- a workspace that is new, or was idle, begins at the present virtual time, without older credit
    SELECT w.workspace_id, COALESCE(t.weight, 1) AS weight, GREATEST(t.served, present.served) AS served
      FROM (SELECT DISTINCT workspace_id FROM ready) w
     CROSS JOIN present
      LEFT JOIN turns t ON t.scope = 'workspace' AND t.subject = w.workspace_id
), candidates AS (
    SELECT w.*, s.served + row_number() OVER (PARTITION BY w.workspace_id
                               ORDER BY t.served_at NULLS FIRST,
                                        w.due_at, w.account_id) / s.weight AS virtual_time
      FROM ready w
      JOIN capacity USING (platform)
      JOIN shares s USING (workspace_id)
      LEFT JOIN turns t ON t.scope = 'account' AND t.subject = w.account_id
     WHERE w.platform_jobs < capacity.jobs
), ranked AS (
    SELECT t.*, capacity.jobs AS capacity, s.weight, s.served,
           row_number() OVER (PARTITION BY platform ORDER BY virtual_time, due_at) AS rank_on_platform
      FROM candidates t JOIN capacity USING (platform) JOIN shares s USING (workspace_id)
), in_order AS (
    SELECT * FROM ranked WHERE rank_on_platform <= capacity - platform_jobs
     ORDER BY virtual_time, due_at OFFSET 0
)
SELECT account_id, workspace_id, platform, batch, top_up, capacity, weight, served FROM in_order
 WHERE pg_try_advisory_xact_lock(:account_lock, hashtext(account_id)) LIMIT :jobs
"""
"""The accounts that get a job, in order. An account that another claim has locked is skipped."""

_STATEMENTS = {
    lane: text(
        _CHOOSE.format(
            lane="AND r.priority > 0" if lane is Lane.INTERACTIVE else "",
            in_flight=IN_FLIGHT[lane],
            not_paused=_NOT_PAUSED[lane],
        )
    )
    for lane in Lane
}


def choose(connection: Connection, lane: Lane, parameters: Mapping[str, object]) -> Sequence[Row[Any]]:
    """Return the accounts that get a job next, locked against other claims until the transaction ends."""
    return connection.execute(_STATEMENTS[lane], {**parameters, "account_lock": _ACCOUNT_LOCK}).all()
