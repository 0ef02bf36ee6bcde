"""Erasures, the role that runs them, and a history that goes with its publication whoever deletes it."""

from alembic import op

revision = "0150"
down_revision = "0141"

TABLES = """
CREATE TABLE erasures (
    code TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject JSONB,
    source TEXT NOT NULL,
    phase TEXT NOT NULL,
    requested_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    resume_after TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    progress BIGINT DEFAULT 0 NOT NULL,
    rows JSONB DEFAULT '{}' NOT NULL,
    scan JSONB,
    ended_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (code)
);
CREATE INDEX erasures_open ON erasures (requested_at) WHERE ended_at IS NULL;
CREATE TABLE erasure_identifiers (
    code TEXT NOT NULL,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (code, kind, value),
    FOREIGN KEY(code) REFERENCES erasures (code) ON DELETE CASCADE
);
ALTER TABLE accounts ADD COLUMN erasure TEXT
"""

# A foreign key of the history would lock the publication at every reading; this costs nothing until one goes.
HISTORY_GOES = """
CREATE FUNCTION delete_history() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $function$
BEGIN
    DELETE FROM snapshots WHERE publication_id = ANY(ARRAY(SELECT id FROM removed));
    RETURN NULL;
END
$function$;
CREATE TRIGGER publications_history AFTER DELETE ON publications REFERENCING OLD TABLE AS removed
   FOR EACH STATEMENT EXECUTE FUNCTION delete_history();
DO $do$ BEGIN
    -- A caller's search path must not decide which tables the owner's rights reach.
    EXECUTE format('ALTER FUNCTION delete_history() SET search_path = %I, pg_temp', current_schema());
END $do$
"""

# Roles belong to the whole cluster. Whoever may not create them goes without: erasures keep all rights.
ROLE = """
DO $do$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'dravo_eraser') THEN
        BEGIN
            CREATE ROLE dravo_eraser NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- another database of the cluster was migrated in the same moment
        END;
    END IF;
    BEGIN
        GRANT dravo_eraser TO CURRENT_USER;
    EXCEPTION WHEN insufficient_privilege THEN
        NULL; -- somebody else made the role: the service may still log in as it
    END;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO dravo_eraser', current_schema());
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO dravo_eraser',
                   current_schema());
    -- tables of later migrations, too
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES'
                   ' TO dravo_eraser', current_schema());
    GRANT SELECT (code, kind, source, phase, requested_at, ended_at, scan) ON erasures
        TO dravo_api, dravo_scheduler;
EXCEPTION WHEN insufficient_privilege OR undefined_object THEN
    RAISE NOTICE 'the role dravo_eraser was not made: %', SQLERRM;
END
$do$
"""


def upgrade() -> None:
    """Create the tables, the trigger and the role."""
    for statement in TABLES.split(";\n"):
        op.execute(statement)
    op.execute(HISTORY_GOES)
    op.execute(ROLE)
