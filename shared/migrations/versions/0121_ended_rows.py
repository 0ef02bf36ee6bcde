"""An index of rows whose polling has ended: the query that finds stuck rows then reads no whole table."""

from alembic import op

revision = "0121"
down_revision = "0120"

INDEX = """
CREATE INDEX CONCURRENTLY post_analytics_ended ON post_analytics (publication_id)
 WHERE outcome IN ('duplicate', 'gone', 'window_closed') AND sync_status <> 'requires_reconnect'
"""


def upgrade() -> None:
    """Build the index while services go on writing."""
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS post_analytics_ended")  # left by an interrupted build
        op.execute(INDEX)
