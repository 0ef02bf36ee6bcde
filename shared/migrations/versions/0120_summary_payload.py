"""``ops_summary.told`` is called ``payload``; the scheduler writes the summary, and its role may.

``told`` stays, kept equal by a trigger: services of the version before read and write it until they are gone.
"""

from alembic import op

revision = "0120"
down_revision = "0110"

STATEMENTS = (
    "ALTER TABLE ops_summary ADD COLUMN payload JSONB",
    "UPDATE ops_summary SET payload = told",
    """
    CREATE FUNCTION keep_summary_payload() RETURNS trigger LANGUAGE plpgsql AS $function$
    BEGIN
        IF TG_OP = 'INSERT' THEN
            NEW.payload := COALESCE(NEW.payload, NEW.told);
            NEW.told := NEW.payload;
        ELSIF NEW.payload IS DISTINCT FROM OLD.payload THEN
            NEW.told := NEW.payload;
        ELSE
            NEW.payload := NEW.told;
        END IF;
        RETURN NEW;
    END
    $function$
    """,
    """
    CREATE TRIGGER keep_summary_payload BEFORE INSERT OR UPDATE ON ops_summary
       FOR EACH ROW EXECUTE FUNCTION keep_summary_payload()
    """,
    "ALTER TABLE ops_summary ALTER COLUMN payload SET NOT NULL",
    # The parts under their new names, so that the page has figures until the scheduler writes them.
    """
    INSERT INTO ops_summary (part, payload, counted_from, counted_at)
    SELECT CASE part WHEN 'census' THEN 'rows' ELSE 'live' END, payload, counted_from, counted_at
      FROM ops_summary WHERE part IN ('census', 'watch')
    """,
)

# Without the role, or the right to grant, services keep all rights (as in 0110).
GRANTS = """
DO $do$
BEGIN
    GRANT SELECT, INSERT, UPDATE ON ops_summary TO dravo_scheduler;
    GRANT SELECT, INSERT, DELETE ON ops_history TO dravo_scheduler;
EXCEPTION WHEN insufficient_privilege OR undefined_object THEN
    RAISE NOTICE 'dravo_scheduler may not write the summary: %', SQLERRM;
END
$do$
"""


def upgrade() -> None:
    """Add the column and keep it in step with the former one; let the scheduler write the summary."""
    for statement in STATEMENTS:
        op.execute(statement)
    op.execute(GRANTS)
