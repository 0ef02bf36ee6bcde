"""The cost of a workspace's latest job, so that the present virtual time is the one at which that job began.

Schedulers of the version before leave the default: they count each job as one.
"""

from alembic import op

revision = "0200"
down_revision = "0190"


def upgrade() -> None:
    """Add the column; a constant default rewrites no row."""
    op.execute("ALTER TABLE turns ADD COLUMN IF NOT EXISTS latest_cost DOUBLE PRECISION NOT NULL DEFAULT 1")
