"""Acts of operators, the summary of the fleet, and the indexes on which their page walks."""

from alembic import op

revision = "0030"
down_revision = "0010"

TABLES = """
CREATE TABLE operator_acts (
    act_id BIGINT GENERATED ALWAYS AS IDENTITY,
    acted_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    operator TEXT NOT NULL,
    via TEXT NOT NULL,
    act TEXT NOT NULL,
    subject JSONB NOT NULL,
    reason TEXT,
    rows BIGINT,
    last BIGINT,
    PRIMARY KEY (act_id)
);
CREATE TABLE ops_summary (
    part TEXT NOT NULL,
    told JSONB NOT NULL,
    counted_from TIMESTAMP WITH TIME ZONE NOT NULL,
    counted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (part)
);
CREATE TABLE ops_history (
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    platform TEXT NOT NULL,
    polled BIGINT NOT NULL,
    fresh BIGINT NOT NULL,
    oldest_overdue_seconds DOUBLE PRECISION,
    outcomes JSONB NOT NULL,
    PRIMARY KEY (at, platform)
)
"""

# Only what needs a look: a row that is synced and waits for its time is in neither.
INDEXES = {
    "post_analytics_unsynced": "post_analytics (sync_status, publication_id) WHERE sync_status <> 'synced'",
    "refresh_state_troubled": (
        "refresh_state (reason, publication_id) WHERE reason IN"
        " ('retry', 'paused', 'unconfirmed', 'processing', 'stopped', 'blocked', 'quarantined')"
    ),
}


def upgrade() -> None:
    """Create the tables; build the indexes without keeping anybody from writing meanwhile."""
    for statement in TABLES.split(";\n"):
        op.execute(statement)
    with op.get_context().autocommit_block():
        for name, definition in INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")  # what an interrupted build left
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {definition}")
