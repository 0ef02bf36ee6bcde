"""A reading of the history keeps the numbers that explain when the row was due again after it."""

from alembic import op

revision = "0290"
down_revision = "0280"


def upgrade() -> None:
    """Add the column to every month; a worker of the version before leaves it empty."""
    op.execute("ALTER TABLE snapshots ADD COLUMN freshness JSONB")
