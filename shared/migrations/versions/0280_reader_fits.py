"""Readers fitted to the installation's own reads, and signals that bring rows forward."""

from alembic import op

revision = "0280"
down_revision = "0270"

# Without the role, services keep all rights.
GRANTS = """
DO $do$
BEGIN
    GRANT SELECT ON read_counts TO dravo_scheduler;
    GRANT UPDATE (stale_after) ON post_analytics TO dravo_api;
EXCEPTION WHEN insufficient_privilege OR undefined_object THEN
    RAISE NOTICE 'the services may not use reads and signals: %', SQLERRM;
END
$do$
"""


def upgrade() -> None:
    """Add the columns; older versions leave them empty."""
    op.execute(
        "ALTER TABLE growth_fits ADD COLUMN reads_at_first DOUBLE PRECISION,"
        " ADD COLUMN reads_at_any_age DOUBLE PRECISION"
    )
    op.execute(GRANTS)
