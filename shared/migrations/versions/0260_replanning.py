"""The scheduler may move a row's ``stale_after`` forward when the freshness policy has changed."""

from alembic import op

revision = "0260"
down_revision = "0250"

# Without the role, services keep all rights.
GRANTS = """
DO $do$
BEGIN
    GRANT UPDATE (stale_after) ON post_analytics TO dravo_scheduler;
EXCEPTION WHEN insufficient_privilege OR undefined_object THEN
    RAISE NOTICE 'dravo_scheduler may not re-plan rows: %', SQLERRM;
END
$do$
"""


def upgrade() -> None:
    """Grant the right."""
    op.execute(GRANTS)
