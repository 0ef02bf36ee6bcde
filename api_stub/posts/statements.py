"""The SQL of the read path, put together from constants of this module; values are always bound parameters.

Every statement over rows names ``workspace_id``. An index alone (publications_newest…) finds the rows of a
page, and only those are joined.
"""

from functools import lru_cache
from typing import Final, LiteralString, NamedTuple

from shared.analytics_row import COLUMNS
from shared.quota.pauses import APPLIES_NOW, NOT_PAUSED

# A UNION of three index lookups: with OR, the planner would scan the index of a large workspace. OFFSET 0: it
# also would where statistics are old, for an id of the platform, whose index has no workspace.
_KEY_COLUMNS: Final = "id, workspace_id, account_id, platform, created_at"
_BY_ANY_ID: Final = f"""
SELECT {_KEY_COLUMNS} FROM publications WHERE workspace_id = %(workspace)s AND post_id = %(post)s
 UNION
SELECT {_KEY_COLUMNS} FROM (SELECT * FROM publications WHERE platform_post_id = %(post)s OFFSET 0) p
 WHERE workspace_id = %(workspace)s
 UNION
SELECT {_KEY_COLUMNS} FROM (SELECT * FROM publications WHERE publish_id = %(post)s OFFSET 0) p
 WHERE workspace_id = %(workspace)s
"""

_TOTAL_FROM_COUNTS: Final = """
SELECT (SELECT COALESCE(sum(b.n), 0)
          FROM unnest(%(grains)s::text[], %(bucket_starts)s::date[], %(bucket_ends)s::date[])
               AS u (grain, starts, ends)
         CROSS JOIN LATERAL (
               SELECT sum(c.n) AS n FROM publication_counts c
                WHERE c.workspace_id = %(workspace)s AND c.account_id = {account} AND c.grain = u.grain
                  AND c.bucket >= u.starts AND c.bucket < u.ends {of_platform}) b)
     + (SELECT COALESCE(sum(e.n), 0)
          FROM unnest(%(edge_starts)s::timestamptz[], %(edge_ends)s::timestamptz[]) AS u (starts, ends)
         CROSS JOIN LATERAL (
               SELECT count(*) AS n FROM publications p
                WHERE {matching}
                  AND p.created_at >= u.starts AND p.created_at < COALESCE(u.ends, 'infinity')) e) AS total
"""

_DEEP_PAGE_START: Final = """
WITH segments AS (
    SELECT u.grain, b.bucket::timestamp AT TIME ZONE 'UTC' AS starts,
           (b.bucket + CASE u.grain WHEN 'month' THEN interval '1 month' ELSE interval '1 day' END)
               AT TIME ZONE 'UTC' AS ends,
           b.n
      FROM unnest(%(grains)s::text[], %(bucket_starts)s::date[], %(bucket_ends)s::date[])
           AS u (grain, starts, ends)
     CROSS JOIN LATERAL (
           SELECT c.bucket, sum(c.n) AS n FROM publication_counts c
            WHERE c.workspace_id = %(workspace)s AND c.account_id = {account} AND c.grain = u.grain
              AND c.bucket >= u.starts AND c.bucket < u.ends {of_platform}
            GROUP BY c.bucket) b
    UNION ALL
    SELECT 'edge', u.starts, COALESCE(u.ends, 'infinity'), e.n
      FROM unnest(%(edge_starts)s::timestamptz[], %(edge_ends)s::timestamptz[]) AS u (starts, ends)
     CROSS JOIN LATERAL (
           SELECT count(*) AS n FROM publications p
            WHERE {matching} AND p.created_at >= u.starts AND p.created_at < COALESCE(u.ends, 'infinity')) e
), running AS (
    SELECT *, sum(n) OVER (ORDER BY starts DESC) AS upto FROM segments WHERE n > 0
), segment AS (
    SELECT grain, starts, ends, upto - n AS before FROM running WHERE upto > %(offset)s
     ORDER BY starts DESC LIMIT 1
), days AS (
    -- narrows a month down to a day, where days are counted: for a whole workspace
    SELECT c.bucket, sum(c.n) AS n, segment.before + sum(sum(c.n)) OVER (ORDER BY c.bucket DESC) AS upto
      FROM segment
      JOIN publication_counts c ON segment.grain = 'month' AND c.grain = 'day'
       AND c.bucket >= (segment.starts AT TIME ZONE 'UTC')::date
       AND c.bucket < (segment.ends AT TIME ZONE 'UTC')::date
     WHERE c.workspace_id = %(workspace)s AND c.account_id = {account} {of_platform}
     GROUP BY c.bucket, segment.before
), day AS (
    SELECT (bucket + 1)::timestamp AT TIME ZONE 'UTC' AS ends, upto - n AS before FROM days
     WHERE upto > %(offset)s ORDER BY bucket DESC LIMIT 1
)
SELECT CASE WHEN COALESCE(day.ends, segment.ends) < timestamptz '10000-01-01 UTC'
            THEN COALESCE(day.ends, segment.ends) END,
       COALESCE(day.before, segment.before)::bigint
  FROM segment LEFT JOIN day ON TRUE
"""


class Shape(NamedTuple):
    """The filters of a statement: each combination has its own text, so that PostgreSQL keeps its plan."""

    post: bool
    account: bool
    platform: bool
    start: bool
    end: bool


@lru_cache
def page(shape: Shape) -> LiteralString:
    """Return the statement of a page: its rows, each with the total of matches and the database's time."""
    if shape.post:
        ctes: LiteralString = (
            f"WITH named AS MATERIALIZED ({_BY_ANY_ID}), matched AS MATERIALIZED ("
            f"SELECT p.id, p.created_at FROM named p WHERE {_matching(shape)} {_within(shape)})"
        )
        total: LiteralString = "SELECT count(*) AS total FROM matched"
        source: LiteralString = "matched p"
        where: LiteralString = "TRUE"
    else:
        ctes, total = "WITH", _fill(_TOTAL_FROM_COUNTS, shape)
        source, where = "publications p", f"{_matching(shape)} {_within(shape)}"
    comma: LiteralString = "," if shape.post else ""
    return f"""
{ctes}{comma} counted AS ({total}), page AS MATERIALIZED (
    SELECT p.id FROM {source} WHERE {where}
     ORDER BY p.created_at DESC, p.id DESC LIMIT %(limit)s OFFSET %(offset)s
)
SELECT counted.total::bigint, now(), {COLUMNS}
  FROM counted
  LEFT JOIN (page JOIN publications p USING (id) JOIN post_analytics a ON a.publication_id = p.id) ON TRUE
 ORDER BY p.created_at DESC, p.id DESC
"""


@lru_cache
def deep_page_start(shape: Shape) -> LiteralString:
    """Return the statement that locates a deep page by counts.

    Its row holds an instant and the number of matching rows that are not before it; the page begins shortly
    before that instant. The instant is NULL after the year 9999, the last that Python supports. Without a
    row the page is empty.
    """
    return _fill(_DEEP_PAGE_START, shape)


def _fill(statement: LiteralString, shape: Shape) -> LiteralString:
    return statement.format(
        account="%(account)s" if shape.account else "''",
        of_platform="AND c.platform = %(platform)s" if shape.platform else "",
        matching=_matching(shape),
    )


def _matching(shape: Shape) -> LiteralString:
    conditions: LiteralString = "p.workspace_id = %(workspace)s"
    if shape.account:
        conditions += " AND p.account_id = %(account)s"
    if shape.account and shape.platform:
        # An account has one platform: comparing the account's lets its index serve both filters.
        conditions += (
            " AND EXISTS (SELECT FROM accounts WHERE account_id = %(account)s AND platform = %(platform)s)"
        )
    elif shape.platform:
        conditions += " AND p.platform = %(platform)s"
    return conditions


def _within(shape: Shape) -> LiteralString:
    conditions: LiteralString = ""
    if shape.start:
        conditions += " AND p.created_at >= %(start)s"
    if shape.end:
        conditions += " AND p.created_at < %(end)s"
    return conditions


# Rows by id, of this workspace only. OFFSET 0 makes PostgreSQL use the primary key: it would otherwise scan
# the index of the workspace for the ids, which is slow in a large workspace.
_ROWS_BY_ID: Final = """
unnest(%(ids)s::bigint[]) AS u (id)
 CROSS JOIN LATERAL (SELECT * FROM publications WHERE id = u.id OFFSET 0) p
"""

ROWS: Final = f"""
SELECT {COLUMNS} FROM {_ROWS_BY_ID} JOIN post_analytics a ON a.publication_id = p.id
 WHERE p.workspace_id = %(workspace)s
"""

NOT_YET_DUE: Final = f"""
SELECT r.publication_id
  FROM {_ROWS_BY_ID}
  JOIN refresh_state r ON r.publication_id = p.id
  JOIN post_analytics a ON a.publication_id = p.id
 WHERE p.workspace_id = %(workspace)s AND r.reason IN ('stale', 'new') AND r.next_run_at > now()
   AND (a.stale_after <= now() OR a.last_updated_at IS NULL)
"""
"""Rows that a read without ``refresh=true`` makes due: not those that wait for a retry or a pause, nor those
that were refreshed after the page was read, which a replica shows as stale for a while."""

REFRESH_PROGRESS: Final = f"""
SELECT r.publication_id,
       COALESCE(s.attempted_at >= %(since)s, FALSE) AS refreshed,
       r.priority > 0 AND r.next_run_at IS NOT NULL
           AND (r.next_run_at <= now() OR r.claimed_at IS NOT NULL) AS requested,
       a.state = 'active' AND {NOT_PAUSED} AS refreshable
  FROM {_ROWS_BY_ID}
  JOIN refresh_state r ON r.publication_id = p.id
  JOIN post_analytics s ON s.publication_id = p.id
  JOIN served_accounts a ON a.account_id = p.account_id
 WHERE p.workspace_id = %(workspace)s
"""
"""`RefreshProgress` of rows: whether each is refreshed, requested, and can be refreshed at all."""

HOLDS: Final = f"""
SELECT r.publication_id, p.post_id, p.account_id, p.platform,
       COALESCE(p.platform_post_id, p.publish_id) IS NOT NULL, a.state,
       r.next_run_at, r.reason, r.claimed_at, r.priority, now(),
       (SELECT jsonb_agg(jsonb_build_array(w.platform, w.kind, w.subject, w.paused_at, w.paused_until)
                         ORDER BY w.paused_until DESC)
          FROM pauses w WHERE {APPLIES_NOW})
  FROM {_ROWS_BY_ID}
  JOIN refresh_state r ON r.publication_id = p.id
  JOIN served_accounts a ON a.account_id = p.account_id
 WHERE p.workspace_id = %(workspace)s
"""
"""Why rows do not run now: the columns of a `RowState`, the database's time and the pauses in force."""

LOCK: Final = f"""
SELECT r.publication_id FROM {_ROWS_BY_ID} JOIN refresh_state r ON r.publication_id = p.id
 WHERE p.workspace_id = %(workspace)s
 ORDER BY r.publication_id FOR UPDATE OF r
"""

PUBLICATIONS_OF: Final = f"""
WITH named AS MATERIALIZED ({_BY_ANY_ID})
SELECT p.id, p.post_id, p.account_id, p.platform, COALESCE(p.platform_post_id, p.publish_id)
  FROM named JOIN publications p USING (id)
 ORDER BY p.created_at DESC, p.id DESC LIMIT 1000
"""

_SNAPSHOTS: Final = """
SELECT s.publication_id, {interval} AS interval_start, s.taken_at, s.last_seen_at, s.sync_status, s.metrics
  FROM {own} JOIN LATERAL (
       SELECT publication_id, taken_at, last_seen_at, sync_status, metrics FROM snapshots
        WHERE publication_id = p.id AND taken_at >= %(start)s - interval '31 days'
        UNION  -- the same reading is in both while its month is being rolled up
       SELECT publication_id, taken_at, last_seen_at, sync_status, metrics FROM daily_snapshots
        WHERE publication_id = p.id AND taken_at >= %(start)s - interval '31 days'
        UNION
       SELECT publication_id, taken_at, last_seen_at, sync_status, metrics FROM last_snapshots
        WHERE publication_id = p.id) s ON TRUE
 WHERE p.workspace_id = %(workspace)s
   AND s.last_seen_at >= %(start)s AND s.taken_at < COALESCE(%(end)s::timestamptz, 'infinity')
"""

_INTERVAL: Final = "date_trunc(%(grain)s, GREATEST(s.taken_at, %(start)s), 'UTC')"

RAW_HISTORY: Final = f"""
{_SNAPSHOTS.format(own=_ROWS_BY_ID, interval="s.taken_at")}
 ORDER BY s.taken_at DESC, s.publication_id DESC LIMIT %(limit)s
"""

HISTORY_BY_INTERVAL: Final = f"""
SELECT DISTINCT ON (interval_start, publication_id) *
  FROM ({_SNAPSHOTS.format(own=_ROWS_BY_ID, interval=_INTERVAL)}) AS s
 ORDER BY interval_start DESC, publication_id DESC, taken_at DESC LIMIT %(limit)s
"""
"""The last snapshot of each interval."""
