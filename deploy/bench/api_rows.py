"""Rows for the benchmark of the read API and the page: made inside PostgreSQL, the same at every run."""

import re
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, text

WORKSPACES: Final = 2_000
LARGE: Final = "ws_large"
"""One workspace holds a million rows (half of all, when there are fewer than two million)."""
ACCOUNTS_OF_LARGE: Final = 50
YEARS: Final = timedelta(days=3 * 365)
_CHUNK: Final = 500_000

_ACCOUNTS: Final = """
INSERT INTO accounts (account_id, workspace_id, platform, platform_account_id)
SELECT 'acc_' || w.workspace_id || '_' || n, w.workspace_id,
       (ARRAY['instagram', 'facebook', 'x', 'linkedin', 'tiktok'])[n % 5 + 1],
       'pa_' || w.workspace_id || '_' || n
  FROM (SELECT 'ws_' || i AS workspace_id, 5 AS accounts FROM generate_series(2, :workspaces) i
        UNION ALL SELECT :large, :accounts_of_large) w
 CROSS JOIN LATERAL generate_series(0, w.accounts - 1) n
"""

# Rows come in the order of their instants, as in life: every workspace's rows lie scattered over the table.
_PUBLICATIONS: Final = """
INSERT INTO publications (workspace_id, post_id, account_id, platform, platform_post_id, platform_post_url,
                          text, created_at, published_at)
SELECT o.workspace_id, 'post_' || to_hex(n), 'acc_' || o.workspace_id || '_' || o.account,
       (ARRAY['instagram', 'facebook', 'x', 'linkedin', 'tiktok'])[o.account % 5 + 1],
       (10::numeric ^ 17 + n)::text,
       'https://platform.example/p/' || n, 'Post number ' || n || ' of the benchmark, of a usual length.',
       timestamptz '2023-11-01 00:00:00Z' + (n / CAST(:rows AS float8)) * CAST(:years AS interval),
       timestamptz '2023-11-01 00:00:30Z' + (n / CAST(:rows AS float8)) * CAST(:years AS interval)
  FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) n
 CROSS JOIN LATERAL (SELECT hashint8(n)::bigint & 2147483647 AS hash) h
 CROSS JOIN LATERAL (SELECT CASE WHEN h.hash % :rows < :rows_of_large THEN NULL
                                 ELSE 2 + (h.hash / 7) % (:workspaces - 1) END AS small) s
 CROSS JOIN LATERAL (
       SELECT CASE WHEN s.small IS NULL THEN :large ELSE 'ws_' || s.small END AS workspace_id,
              (h.hash / 13) % CASE WHEN s.small IS NULL THEN :accounts_of_large ELSE 5 END AS account) o
"""

_ANALYTICS: Final = """
INSERT INTO post_analytics (publication_id, sync_status, metrics, last_updated_at, stale_after)
SELECT id, 'synced',
       CASE platform
       WHEN 'linkedin' THEN jsonb_build_object('share_statistics_impression_count', id % 9973,
            'share_statistics_click_count', id % 97, 'share_statistics_like_count', id % 89,
            'share_statistics_engagement', (id % 100) / 1000.0)
       ELSE jsonb_build_object('views', id % 9973, 'reach', id % 7919, 'likes', id % 541, 'comments', id % 53,
            'shares', id % 31, 'saved', id % 17) END,
       now(), now() + interval '30 days'
  FROM publications WHERE id BETWEEN :first AND :last
"""

# One row in a hundred has failed and is overdue: the operators' page is about those.
_RUNS: Final = """
INSERT INTO refresh_state (publication_id, account_id, next_run_at, reason)
SELECT id, account_id,
       now() + CASE WHEN id % 101 = 0 THEN (id % 600) * interval '-1 second'
                    ELSE (id % 43200) * interval '1 minute' END,
       CASE WHEN id % 101 = 0 THEN 'retry' ELSE 'stale' END
  FROM publications WHERE id BETWEEN :first AND :last
"""
_TROUBLE: Final = """
UPDATE post_analytics SET outcome = 'retry', outcome_detail = 'The platform answered 503.',
       attempted_at = now()
 WHERE publication_id BETWEEN :first AND :last AND publication_id % 101 = 0
"""


def load(connection: Connection, rows: int) -> None:
    """Fill an empty migrated database; secondary indexes are built once, at the end."""
    rows_of_large = min(1_000_000, rows // 2)
    shape = {"workspaces": WORKSPACES, "large": LARGE, "accounts_of_large": ACCOUNTS_OF_LARGE}
    connection.execute(text("SET maintenance_work_mem = '512MB'"))
    connection.execute(text("SET work_mem = '256MB'"))
    connection.execute(text(_ACCOUNTS), shape)
    indexes = _drop_indexes(connection)
    for first in range(1, rows + 1, _CHUNK):
        last = min(first + _CHUNK - 1, rows)
        connection.execute(
            text(_PUBLICATIONS),
            {
                **shape,
                "first": first,
                "last": last,
                "rows": rows,
                "rows_of_large": rows_of_large,
                "years": YEARS,
            },
        )
        connection.execute(text("SET session_replication_role = replica"))  # no foreign keys row by row
        for statement in (_ANALYTICS, _RUNS, _TROUBLE):
            connection.execute(text(statement), {"first": first, "last": last})
        connection.execute(text("RESET session_replication_role"))
        connection.commit()
    for definition in indexes:
        connection.execute(text(definition))
    connection.commit()


def _drop_indexes(connection: Connection) -> list[str]:
    found = connection.execute(
        text(
            "SELECT indexname, indexdef FROM pg_indexes"
            " WHERE tablename IN ('publications', 'refresh_state') AND indexname <> tablename || '_pkey'"
        )
    ).all()
    for name, _ in found:
        connection.execute(text(f"DROP INDEX {re.sub(r'[^a-z_]', '', name)}"))
    return [definition for _, definition in found]
