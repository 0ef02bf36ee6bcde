"""The scheduler records in the audit log that a version was deployed: charts mark it."""

from alembic import op

revision = "0250"
down_revision = "0240"

GRANT = """
DO $do$
BEGIN
    GRANT SELECT, INSERT ON operator_acts TO dravo_scheduler;
EXCEPTION WHEN insufficient_privilege OR undefined_object THEN
    RAISE NOTICE 'the role dravo_scheduler got no rights on operator_acts: %', SQLERRM;
END
$do$
"""


def upgrade() -> None:
    """Let the scheduler write entries."""
    op.execute(GRANT)
