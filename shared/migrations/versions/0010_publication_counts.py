"""Publications counted by month and day, kept by triggers: exact totals and deep pages without a scan."""

from alembic import op

revision = "0010"
down_revision = "0001"

TABLE = """
CREATE TABLE publication_counts (
    workspace_id TEXT NOT NULL,
    account_id TEXT NOT NULL,
    grain TEXT NOT NULL,
    bucket DATE NOT NULL,
    platform TEXT NOT NULL,
    n BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, account_id, grain, bucket, platform)
)
 WITH (fillfactor = 80)
"""

# What one statement changed is added up first and written in one order, so that two writers of the same
# buckets wait for each other instead of deadlocking.
FUNCTION = """
CREATE FUNCTION count_publications() RETURNS trigger LANGUAGE plpgsql AS $function$
DECLARE
    added CONSTANT text := 'SELECT workspace_id, account_id, platform, created_at, 1 AS step FROM added';
    removed CONSTANT text := 'SELECT workspace_id, account_id, platform, created_at, -1 AS step FROM removed';
BEGIN
    EXECUTE format($statement$
        INSERT INTO publication_counts AS c (workspace_id, account_id, grain, bucket, platform, n)
        SELECT changed.workspace_id, counted.account_id, grain, bucket, platform, sum(step)
          FROM (%s) AS changed
         CROSS JOIN LATERAL (VALUES
               ('', 'day', (created_at AT TIME ZONE 'UTC')::date),
               ('', 'month', date_trunc('month', created_at AT TIME ZONE 'UTC')::date),
               (changed.account_id, 'month', date_trunc('month', created_at AT TIME ZONE 'UTC')::date)
               ) AS counted (account_id, grain, bucket)
         GROUP BY 1, 2, 3, 4, 5 HAVING sum(step) <> 0
         ORDER BY 1, 2, 3, 4, 5
            ON CONFLICT (workspace_id, account_id, grain, bucket, platform) DO UPDATE SET n = c.n + excluded.n
        $statement$,
        CASE TG_OP WHEN 'INSERT' THEN added WHEN 'DELETE' THEN removed
                   ELSE added || ' UNION ALL ' || removed END);
    RETURN NULL;
END
$function$
"""

TRIGGERS = (
    "AFTER INSERT ON publications REFERENCING NEW TABLE AS added",
    "AFTER DELETE ON publications REFERENCING OLD TABLE AS removed",
    "AFTER UPDATE ON publications REFERENCING NEW TABLE AS added OLD TABLE AS removed",
)

FORGET = """
CREATE FUNCTION forget_publication_counts() RETURNS trigger LANGUAGE plpgsql AS $function$
BEGIN
    TRUNCATE publication_counts;
    RETURN NULL;
END
$function$
"""

COUNT_ALL = """
INSERT INTO publication_counts (workspace_id, account_id, grain, bucket, platform, n)
SELECT workspace_id, counted.account_id, grain, bucket, platform, count(*)
  FROM publications
 CROSS JOIN LATERAL (VALUES
       ('', 'day', (created_at AT TIME ZONE 'UTC')::date),
       ('', 'month', date_trunc('month', created_at AT TIME ZONE 'UTC')::date),
       (publications.account_id, 'month', date_trunc('month', created_at AT TIME ZONE 'UTC')::date)
       ) AS counted (account_id, grain, bucket)
 GROUP BY 1, 2, 3, 4, 5
"""


def upgrade() -> None:
    """Create the table, count what is there, and keep it true from now on."""
    op.execute("LOCK TABLE publications IN SHARE ROW EXCLUSIVE MODE")
    op.execute(TABLE)
    op.execute(FUNCTION)
    op.execute(FORGET)
    for name, trigger in zip(("inserted", "deleted", "updated"), TRIGGERS, strict=True):
        op.execute(
            f"CREATE TRIGGER publications_{name} {trigger}"
            " FOR EACH STATEMENT EXECUTE FUNCTION count_publications()"
        )
    op.execute(
        "CREATE TRIGGER publications_truncated AFTER TRUNCATE ON publications"
        " FOR EACH STATEMENT EXECUTE FUNCTION forget_publication_counts()"
    )
    op.execute(COUNT_ALL)
