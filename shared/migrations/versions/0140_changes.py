"""The table of the delta feed, and the transaction in which an account's state changed."""

from alembic import op

revision = "0140"
down_revision = "0130"

STATEMENTS = (
    """
    CREATE TABLE changes (
        publication_id BIGINT PRIMARY KEY,
        workspace_id TEXT NOT NULL,
        changed_in XID8 NOT NULL,
        changed_at TIMESTAMPTZ NOT NULL,
        gone JSONB
    )
    """,
    "CREATE INDEX changes_in_order ON changes (workspace_id, changed_in, publication_id)",
    "CREATE INDEX changes_gone ON changes (changed_at) WHERE gone IS NOT NULL",
    """
    CREATE TABLE changes_backfill (
        after_id BIGINT PRIMARY KEY,
        last_id BIGINT NOT NULL
    )
    """,
    "ALTER TABLE accounts ADD COLUMN changed_in XID8",
    "CREATE INDEX accounts_in_order ON accounts (workspace_id, changed_in) WHERE changed_in IS NOT NULL",
    """
    CREATE FUNCTION note_account_state() RETURNS trigger LANGUAGE plpgsql AS $function$
    BEGIN
        NEW.changed_in := pg_current_xact_id();
        IF TG_OP = 'UPDATE' AND NEW.state_changed_at = OLD.state_changed_at THEN
            NEW.state_changed_at := now();
        END IF;
        RETURN NEW;
    END
    $function$
    """,
    """
    CREATE TRIGGER accounts_state_inserted BEFORE INSERT ON accounts
       FOR EACH ROW EXECUTE FUNCTION note_account_state()
    """,
    """
    CREATE TRIGGER accounts_state_changed BEFORE UPDATE ON accounts FOR EACH ROW
      WHEN ((OLD.state, OLD.state_reason) IS DISTINCT FROM (NEW.state, NEW.state_reason))
   EXECUTE FUNCTION note_account_state()
    """,
)

# The triggers write with the rights of whoever changes a row. Without the roles, services keep all rights.
GRANTS = """
DO $do$
BEGIN
    GRANT SELECT, INSERT, UPDATE ON changes TO dravo_worker;
    GRANT SELECT, INSERT, UPDATE, DELETE ON changes TO dravo_scheduler;
    GRANT SELECT, UPDATE, DELETE ON changes_backfill TO dravo_scheduler;
    GRANT UPDATE (changed_in) ON accounts TO dravo_scheduler;
    GRANT SELECT ON changes TO dravo_api;
    GRANT SELECT (name, state_reason, state_changed_at, changed_in) ON accounts TO dravo_api;
EXCEPTION WHEN insufficient_privilege OR undefined_object THEN
    RAISE NOTICE 'the roles of the services have no rights on changes: %', SQLERRM;
END
$do$
"""


def upgrade() -> None:
    """Create the tables; the triggers that fill them follow in a transaction of their own."""
    for statement in STATEMENTS:
        op.execute(statement)
    op.execute(GRANTS)
