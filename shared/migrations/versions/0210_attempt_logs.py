"""The last attempts of publications that did not simply succeed; the history has those that did."""

from alembic import op

revision = "0210"
down_revision = "0200"

STATEMENTS = (
    """
    CREATE TABLE attempt_logs (
        publication_id BIGINT PRIMARY KEY REFERENCES publications (id) ON DELETE CASCADE,
        entries JSONB NOT NULL
    ) WITH (fillfactor = 70)
    """,
    """
    DO $do$
    BEGIN
        GRANT SELECT, INSERT, UPDATE ON attempt_logs TO dravo_worker;
    EXCEPTION WHEN insufficient_privilege OR undefined_object THEN
        RAISE NOTICE 'the role dravo_worker got no rights on attempt_logs: %', SQLERRM;
    END
    $do$
    """,
)


def upgrade() -> None:
    """Create the table, and let the worker write it."""
    for statement in STATEMENTS:
        op.execute(statement)
