"""Signals of the platforms, and the person at the platform who connected an account."""

from alembic import op

revision = "0230"
down_revision = "0220"

STATEMENTS = (
    "ALTER TABLE accounts ADD COLUMN platform_user_id TEXT",
    """
    CREATE TABLE signals (
        signal_id TEXT NOT NULL,
        platform TEXT NOT NULL,
        kind TEXT NOT NULL,
        at TIMESTAMP WITH TIME ZONE,
        subject JSONB,
        received_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        processed_at TIMESTAMP WITH TIME ZONE,
        result JSONB,
        PRIMARY KEY (signal_id)
    )
    """,
    "CREATE INDEX signals_unprocessed ON signals (received_at) WHERE processed_at IS NULL",
    "CREATE INDEX signals_of_code ON signals (signal_id text_pattern_ops)",
    """
    DO $do$
    BEGIN
        GRANT SELECT ON signals TO dravo_api;
    EXCEPTION WHEN insufficient_privilege OR undefined_object THEN
        RAISE NOTICE 'the role dravo_api has no rights on signals: %', SQLERRM;
    END
    $do$
    """,
)


def upgrade() -> None:
    """Create the table and the column."""
    for statement in STATEMENTS:
        op.execute(statement)
