"""The claim: one statement that finds what is due, shares it out and takes it.

Leaderless: any number of schedulers may run it at once, ``FOR UPDATE SKIP LOCKED`` keeps them apart. The caps
are inside the query, before any limit: an account with a hundred thousand due rows takes one turn like every
other, and cannot hide the others behind its rows.

Turns are a deficit round robin that remembers. A job is the unit: what a workspace was given is counted,
divided by its weight, and whoever has had the least is next; inside a workspace its accounts take turns. So
the shares hold however few jobs one claim hands out, and who comes late waits for a job, not for a backlog.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import ceil, sqrt
from typing import Any

from sqlalchemy import Connection, Row, text

from shared.batches import batch_size, is_topped_up
from shared.pauses import BACKGROUND_NOT_PAUSED, NOT_PAUSED
from shared.refresh_queue import RefreshJob
from shared.vocabulary import Lane, Platform

JOBS_PER_ACCOUNT = 4
"""Jobs of one account in flight at most: enough to use its limits, few enough to meet a dead token early."""

SUSPECT_STARTS = 2
"""A row that was started so often in a row and never finished may be what kills its workers: such rows are
handed out one at a time in the whole fleet, so that the one which does takes no innocent along for good."""

_CLAIM = """
WITH limits AS (
    SELECT * FROM unnest(CAST(:platforms AS text[]), CAST(:of_members AS bool[]), CAST(:batches AS int[]),
                         CAST(:top_ups AS float8[])) AS l (platform, of_member, batch, top_up)
), in_flight AS MATERIALIZED (
    SELECT account_id, count(DISTINCT claimed_at) AS jobs
      FROM refresh_state WHERE claimed_at IS NOT NULL AND next_run_at > now() GROUP BY account_id
), platform_jobs AS MATERIALIZED (
    SELECT a.platform, sum(f.jobs) AS jobs FROM in_flight f JOIN accounts a USING (account_id)
     GROUP BY a.platform
), suspects AS MATERIALIZED (
    SELECT s.publication_id, s.next_run_at
      FROM refresh_state s JOIN accounts a USING (account_id)
     WHERE s.claimed_at IS NOT NULL AND s.unfinished >= {suspect}
       AND (s.next_run_at > now() OR (a.state = 'active' AND {not_paused}))
), next_suspect AS MATERIALIZED (
    SELECT publication_id FROM suspects
     WHERE NOT EXISTS (SELECT 1 FROM suspects WHERE next_run_at > now())
     ORDER BY next_run_at, publication_id LIMIT 1
), waiting AS MATERIALIZED (
    SELECT a.account_id, a.workspace_id, a.platform, l.batch, l.top_up, first.next_run_at AS due_at,
           COALESCE(p.jobs, 0) AS platform_jobs
      FROM accounts a
      JOIN limits l ON l.platform = a.platform AND l.of_member = (COALESCE(a.kind, '') = 'member')
      LEFT JOIN in_flight f USING (account_id)
      LEFT JOIN platform_jobs p ON p.platform = a.platform
     CROSS JOIN LATERAL (
           SELECT r.next_run_at FROM refresh_state r
            WHERE r.account_id = a.account_id AND r.next_run_at <= now() {lane}
              AND (r.unfinished < {suspect} OR r.claimed_at IS NULL
                   OR r.publication_id = (SELECT publication_id FROM next_suspect))
            ORDER BY r.next_run_at LIMIT 1) first
     WHERE a.state = 'active' AND COALESCE(f.jobs, 0) < :account_jobs AND {not_paused}
), room AS (
    -- the more platforms are at work the less of the threads may hang on one of them
    SELECT platform, CASE WHEN count(*) OVER () = 1 THEN :platform_jobs
                          ELSE LEAST(:platform_jobs, ceil(CAST(:shared_jobs AS float8) / count(*) OVER ()))
                     END AS jobs
      FROM (SELECT platform FROM waiting UNION SELECT platform FROM platform_jobs) busy
), reached AS (
    -- where the round stands: at the turn that was given last
    SELECT COALESCE(min(served - 1 / weight), 0) AS served FROM turns
     WHERE scope = 'workspace'
       AND served_at = (SELECT max(served_at) FROM turns WHERE scope = 'workspace')
), starts AS (
    -- who comes new, or back from a rest, joins the round there: with no older credit
    SELECT w.workspace_id, COALESCE(t.weight, 1) AS weight, GREATEST(t.served, reached.served) AS served
      FROM (SELECT DISTINCT workspace_id FROM waiting) w
     CROSS JOIN reached
      LEFT JOIN turns t ON t.scope = 'workspace' AND t.subject = w.workspace_id
), turns_to_come AS (
    SELECT w.*, s.served + row_number() OVER (PARTITION BY w.workspace_id
                               ORDER BY t.served_at NULLS FIRST, w.due_at) / s.weight AS turn
      FROM waiting w
      JOIN room USING (platform)
      JOIN starts s USING (workspace_id)
      LEFT JOIN turns t ON t.scope = 'account' AND t.subject = w.account_id
     WHERE w.platform_jobs < room.jobs
), chosen AS (
    SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY platform ORDER BY turn, due_at) AS of_platform
                     FROM turns_to_come) ranked
      JOIN room USING (platform)
     WHERE of_platform <= room.jobs - platform_jobs ORDER BY turn, due_at LIMIT :jobs
), picked AS (
    SELECT r.publication_id, r.expired, r.unfinished, c.account_id, c.workspace_id
      FROM chosen c
     CROSS JOIN LATERAL (
           SELECT s.publication_id, s.unfinished, s.claimed_at IS NOT NULL AS expired FROM refresh_state s
            WHERE s.account_id = c.account_id {same_lane}
              AND (s.unfinished < {suspect} OR s.claimed_at IS NULL
                   OR s.publication_id = (SELECT publication_id FROM next_suspect))
              AND (s.next_run_at <= now()
                   OR (s.next_run_at <= now() + make_interval(secs => c.top_up)
                       AND s.claimed_at IS NULL AND s.reason = 'stale'))
            ORDER BY s.next_run_at LIMIT c.batch
              FOR UPDATE OF s SKIP LOCKED) r
), counted AS (
    INSERT INTO turns AS t (scope, subject, weight, served)
    SELECT * FROM (
        SELECT 'account' AS scope, account_id AS subject, 1.0 AS weight, 1.0 AS served FROM picked GROUP BY 2
         UNION ALL
        SELECT 'workspace', workspace_id, s.weight, s.served + count(DISTINCT account_id) / s.weight
          FROM picked JOIN starts s USING (workspace_id) GROUP BY workspace_id, s.weight, s.served
    ) given ORDER BY scope, subject
    ON CONFLICT (scope, subject) DO UPDATE
       SET served = excluded.served, served_at = now()
)
UPDATE refresh_state AS r
   SET next_run_at = now() + make_interval(secs => :lease), claim_seq = r.claim_seq + 1,
       claimed_at = now(), reason = 'claimed'
  FROM picked
 WHERE r.publication_id = picked.publication_id
RETURNING r.publication_id, r.account_id, r.claim_seq, picked.expired, picked.unfinished
"""

_STATEMENTS = {
    lane: text(
        _CLAIM.format(
            lane="AND r.priority > 0" if lane is Lane.INTERACTIVE else "",
            same_lane="AND s.priority > 0" if lane is Lane.INTERACTIVE else "",
            not_paused=NOT_PAUSED
            if lane is Lane.INTERACTIVE
            else f"{NOT_PAUSED} AND {BACKGROUND_NOT_PAUSED}",
            suspect=SUSPECT_STARTS,
        )
    )
    for lane in Lane
}


@dataclass(frozen=True, slots=True)
class Claims:
    """What one claim took, as jobs, and how many of its rows had lost their former worker."""

    jobs: tuple[RefreshJob, ...]
    rows: int
    expired_leases: int


def claim(
    connection: Connection,
    lane: Lane,
    *,
    jobs: int,
    platform_jobs: int,
    shared_jobs: int | None = None,
    lease: timedelta,
    top_up: Mapping[Platform, timedelta],
) -> Claims:
    """Take up to ``jobs`` jobs, one an account, and return them; nothing is enqueued here.

    ``platform_jobs``: how many jobs of one platform may be in flight in the whole fleet, ``shared_jobs``: how
    many the platforms share evenly while several have work (``None``: they need not share). ``top_up``: how
    far ahead of its time a sibling may travel along, by platform.
    """
    sizes = [(platform, kind) for platform in Platform for kind in (None, "member")]
    rows = connection.execute(
        _STATEMENTS[lane],
        {
            "platforms": [platform.value for platform, _ in sizes],
            "of_members": [kind == "member" for _, kind in sizes],
            "batches": [batch_size(platform, kind) for platform, kind in sizes],
            "top_ups": [
                top_up[platform].total_seconds()
                if lane is Lane.BACKGROUND and is_topped_up(platform, kind)
                else 0.0
                for platform, kind in sizes
            ],
            "account_jobs": JOBS_PER_ACCOUNT,
            "platform_jobs": platform_jobs,
            "shared_jobs": shared_jobs,
            "jobs": jobs,
            "lease": lease.total_seconds(),
        },
    ).all()
    return Claims(tuple(_jobs(rows)), len(rows), sum(row.expired for row in rows))


def _jobs(rows: Sequence[Row[Any]]) -> Iterator[RefreshJob]:
    """Yield what was claimed of each account as one job, and apart from it what has lost a worker.

    Rows that were lost together are tried in groups of the square root of their number: whatever killed their
    worker is in one of them, and a batch of a hundred costs ten calls now and ten more when that one is lost
    again. Suspects travel alone.
    """
    together: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for row in rows:
        lost = min(row.unfinished, SUSPECT_STARTS)
        together.setdefault((row.account_id, lost), []).append((row.publication_id, row.claim_seq))
    for (account_id, lost), claims in together.items():
        claims.sort()
        size = _group_size(len(claims), lost)
        for first in range(0, len(claims), size):
            yield RefreshJob(account_id, tuple(claims[first : first + size]))


def _group_size(rows: int, lost: int) -> int:
    if lost >= SUSPECT_STARTS:
        return 1
    return ceil(sqrt(rows)) if lost else rows
