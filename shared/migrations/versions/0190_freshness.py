"""What the adaptive policy remembers of a row, and how often clients have read it."""

from alembic import op

revision = "0190"
down_revision = "0180"

# A column without a default, and a new table: nothing is rewritten, and nothing waits.
STATEMENTS = (
    "ALTER TABLE post_analytics ADD COLUMN freshness JSONB",
    """
    CREATE TABLE read_counts (
        publication_id BIGINT PRIMARY KEY REFERENCES publications ON DELETE CASCADE,
        reads BIGINT NOT NULL
    ) WITH (fillfactor = 80)
    """,
)

# Without the roles, services keep all rights.
GRANTS = """
DO $do$
BEGIN
    GRANT SELECT ON read_counts TO dravo_worker;
    GRANT SELECT, INSERT, UPDATE ON read_counts TO dravo_scheduler;
EXCEPTION WHEN insufficient_privilege OR undefined_object THEN
    RAISE NOTICE 'the roles of the services have no rights on read_counts: %', SQLERRM;
END
$do$
"""


def upgrade() -> None:
    """Add the column and the table."""
    for statement in STATEMENTS:
        op.execute(statement)
    op.execute(GRANTS)
