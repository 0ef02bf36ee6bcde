"""A scheduler in its own role measures how far retention is behind; the owner of the tables runs it."""

from alembic import op

revision = "0300"
down_revision = "0290"

# Without the role, services keep all rights.
GRANTS = """
DO $do$
BEGIN
    GRANT SELECT (received_at) ON events_seen TO dravo_scheduler;
    GRANT SELECT (processed_at) ON signals TO dravo_scheduler;
    GRANT SELECT ON retention_runs TO dravo_scheduler;
    GRANT SELECT (publication_id, taken_at, last_seen_at) ON daily_snapshots, last_snapshots
       TO dravo_scheduler;
EXCEPTION WHEN insufficient_privilege OR undefined_object THEN
    RAISE NOTICE 'dravo_scheduler does not measure retention: %', SQLERRM;
END
$do$
"""


def upgrade() -> None:
    """Grant the rights."""
    op.execute(GRANTS)
