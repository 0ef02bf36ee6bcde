"""Daily readings, the newest readings of posts that are not read any more, and how far retention has come."""

from alembic import op

from shared.partitions import FUNCTION

revision = "0180"
down_revision = "0170"

COLUMNS = """
    publication_id BIGINT NOT NULL,
    taken_at TIMESTAMP WITH TIME ZONE NOT NULL,
    last_seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
    reads INTEGER DEFAULT 1 NOT NULL,
    sync_status TEXT NOT NULL,
    metrics JSONB NOT NULL,
"""
RANGE = "RANGE (taken_at)"
STATEMENTS = (
    f"CREATE TABLE daily_snapshots ({COLUMNS} PRIMARY KEY (publication_id, taken_at)) PARTITION BY {RANGE}",
    f"CREATE TABLE last_snapshots ({COLUMNS} PRIMARY KEY (publication_id))",
    """
    CREATE TABLE retention_runs (
        unit TEXT NOT NULL,
        month DATE,
        after_id BIGINT DEFAULT 0 NOT NULL,
        ended_at TIMESTAMP WITH TIME ZONE,
        PRIMARY KEY (unit)
    )
    """,
    FUNCTION,
    """
    CREATE OR REPLACE FUNCTION delete_history() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER AS $function$
    DECLARE
        ids CONSTANT bigint[] := ARRAY(SELECT id FROM removed);
    BEGIN
        DELETE FROM snapshots WHERE publication_id = ANY(ids);
        DELETE FROM daily_snapshots WHERE publication_id = ANY(ids);
        DELETE FROM last_snapshots WHERE publication_id = ANY(ids);
        RETURN NULL;
    END
    $function$
    """,
    # Replacing the function has reset its search path.
    """
    DO $do$ BEGIN
        EXECUTE format('ALTER FUNCTION delete_history() SET search_path = %I, pg_temp', current_schema());
    END $do$
    """,
    """
    DO $do$
    BEGIN
        GRANT SELECT ON daily_snapshots, last_snapshots TO dravo_api;
    EXCEPTION WHEN insufficient_privilege OR undefined_object THEN
        RAISE NOTICE 'the role dravo_api has no rights on daily_snapshots: %', SQLERRM;
    END
    $do$
    """,
)


def upgrade() -> None:
    """Create the tables. Nothing is removed before `DRAVO_RETENTION` says so."""
    for statement in STATEMENTS:
        op.execute(statement)
