"""Accounts record when their owner last connected them, so that a late signal of before changes nothing."""

from alembic import op

revision = "0270"
down_revision = "0260"


def upgrade() -> None:
    """Add the column; without a value an account has its last change of state alone."""
    op.execute("ALTER TABLE accounts ADD COLUMN connected_at TIMESTAMP WITH TIME ZONE")
