"""What the adaptive policy learns of the whole fleet: quota pressure, half-lives, and how right it was."""

from alembic import op

revision = "0220"
down_revision = "0210"

STATEMENTS = (
    """
    CREATE TABLE quota_pressure (
        platform TEXT NOT NULL,
        account_id TEXT NOT NULL,
        bucket TEXT NOT NULL,
        factor DOUBLE PRECISION NOT NULL,
        calls_per_hour DOUBLE PRECISION NOT NULL,
        counted BIGINT NOT NULL DEFAULT 0,
        computed_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        PRIMARY KEY (platform, account_id, bucket)
    )
    """,
    """
    CREATE TABLE growth_fits (
        platform TEXT NOT NULL,
        account_id TEXT NOT NULL,
        half_life DOUBLE PRECISION NOT NULL,
        pairs BIGINT NOT NULL,
        fitted_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        PRIMARY KEY (platform, account_id)
    )
    """,
    """
    CREATE TABLE growth_predictions (
        platform TEXT NOT NULL,
        error_bin INT NOT NULL,
        refreshes DOUBLE PRECISION NOT NULL,
        within DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (platform, error_bin)
    )
    """,
    """
    CREATE TABLE read_accuracy (
        workspace_id TEXT NOT NULL,
        platform TEXT NOT NULL,
        hour TIMESTAMPTZ NOT NULL,
        reads BIGINT NOT NULL,
        within DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (workspace_id, platform, hour)
    )
    """,
    "CREATE INDEX read_accuracy_by_hour ON read_accuracy (hour)",
)

# Without the roles, services keep all rights.
GRANTS = """
DO $do$
BEGIN
    GRANT SELECT, INSERT, UPDATE ON read_counts, read_accuracy TO dravo_api;
    GRANT SELECT ON growth_predictions TO dravo_api;
    GRANT SELECT ON quota_pressure, growth_fits TO dravo_worker;
    GRANT SELECT, INSERT, UPDATE ON growth_predictions TO dravo_worker;
    GRANT SELECT, INSERT, UPDATE, DELETE ON quota_pressure, growth_fits TO dravo_scheduler;
    GRANT SELECT, DELETE ON read_accuracy TO dravo_scheduler;
    GRANT SELECT ON snapshots, growth_predictions TO dravo_scheduler;
EXCEPTION WHEN insufficient_privilege OR undefined_object THEN
    RAISE NOTICE 'the roles of the services have no rights on the figures of freshness: %', SQLERRM;
END
$do$
"""


def upgrade() -> None:
    """Create the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
    op.execute(GRANTS)
