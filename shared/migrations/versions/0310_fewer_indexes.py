"""Six indexes of publications instead of nine, and triggers that do half of the work for new publications.

An id of a post or of a platform leads to its few rows, whatever the rest of the index; so an index of one id
that continues with the workspace, or with the account, serves the lookups of two indexes of before.
"""

from alembic import op
from sqlalchemy import text

revision = "0310"
down_revision = "0300"

INDEXES = {
    "publications_platform_post_account": (
        "UNIQUE INDEX CONCURRENTLY {} ON publications (platform_post_id, account_id)"
    ),
    "publications_publish_account": (
        "UNIQUE INDEX CONCURRENTLY {} ON publications (publish_id, account_id) WHERE publish_id IS NOT NULL"
    ),
    "publications_post": "INDEX CONCURRENTLY {} ON publications (post_id, workspace_id)",
    "publications_account_newest": (
        "INDEX CONCURRENTLY {} ON publications (account_id, workspace_id, created_at DESC, id DESC)"
    ),
}
REPLACED = (
    "publications_account_platform_post",
    "publications_account_publish",
    "publications_by_platform_post",
    "publications_by_post",
    "publications_by_publish",
    "publications_newest_of_account",
    "publications_post_owner",
)
VALID = """
SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass(:name) AND indisvalid)
"""

# One pass over the rows for the three kinds of buckets.
COUNT = """
CREATE OR REPLACE FUNCTION count_publications() RETURNS trigger LANGUAGE plpgsql AS $function$
DECLARE
    added CONSTANT text := 'SELECT workspace_id, account_id, platform, created_at, 1 AS step FROM added';
    removed CONSTANT text := 'SELECT workspace_id, account_id, platform, created_at, -1 AS step FROM removed';
BEGIN
    EXECUTE format($statement$
        INSERT INTO publication_counts AS c (workspace_id, account_id, grain, bucket, platform, n)
        SELECT workspace_id, COALESCE(account_id, ''), CASE WHEN day IS NULL THEN 'month' ELSE 'day' END,
               COALESCE(day, month), platform, sum(step)
          FROM (SELECT workspace_id, account_id, platform, step, (created_at AT TIME ZONE 'UTC')::date AS day,
                       date_trunc('month', created_at AT TIME ZONE 'UTC')::date AS month
                  FROM (%s) AS changed OFFSET 0) AS dated
         GROUP BY workspace_id, platform, GROUPING SETS ((day), (month), (account_id, month))
        HAVING sum(step) <> 0
         ORDER BY 1, 2, 3, 4, 5
            ON CONFLICT (workspace_id, account_id, grain, bucket, platform) DO UPDATE SET n = c.n + excluded.n
        $statement$,
        CASE TG_OP WHEN 'INSERT' THEN added WHEN 'DELETE' THEN removed
                   ELSE added || ' UNION ALL ' || removed END);
    RETURN NULL;
END
$function$
"""

# A publication whose change this transaction has noted already is not compared again. A session keeps the
# plan of this function, also that which it made while the tables were empty.
NOTE = """
CREATE OR REPLACE FUNCTION note_added_analytics() RETURNS trigger LANGUAGE plpgsql
   SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
BEGIN
    INSERT INTO changes AS c (publication_id, workspace_id, changed_in, changed_at, gone)
    SELECT p.id, p.workspace_id, pg_current_xact_id(), now(), NULL
      FROM added n JOIN publications p ON p.id = n.publication_id
     WHERE NOT EXISTS (
           SELECT FROM changes noted
            WHERE noted.publication_id = n.publication_id AND noted.changed_in = pg_current_xact_id()
              AND noted.gone IS NULL OFFSET 0)
     ORDER BY p.id
        ON CONFLICT (publication_id) DO UPDATE
       SET changed_in = excluded.changed_in, changed_at = excluded.changed_at, gone = excluded.gone
     WHERE c.changed_in <> excluded.changed_in OR c.gone IS DISTINCT FROM excluded.gone;
    RETURN NULL;
END
$function$
"""


def upgrade() -> None:
    """Replace the functions; build the indexes while services go on writing, then drop those of before."""
    op.execute(COUNT)
    op.execute(NOTE)
    with op.get_context().autocommit_block():
        for name, definition in INDEXES.items():
            if not op.get_bind().execute(text(VALID), {"name": name}).scalar_one():
                op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")  # left by an interrupted build
                op.execute(f"CREATE {definition.format(name)}")
        for name in REPLACED:
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
