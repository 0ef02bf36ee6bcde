"""``post_reads.held`` is called ``reserved``.

``held`` stays, kept equal by a trigger: services of the version before read and write it until they are gone.
"""

from alembic import op

revision = "0130"
down_revision = "0121"

STATEMENTS = (
    "ALTER TABLE post_reads ADD COLUMN reserved BIGINT NOT NULL DEFAULT 0",
    "UPDATE post_reads SET reserved = held",
    """
    CREATE FUNCTION keep_reserved_reads() RETURNS trigger LANGUAGE plpgsql AS $function$
    BEGIN
        IF TG_OP = 'INSERT' THEN
            NEW.reserved := GREATEST(NEW.reserved, NEW.held);
            NEW.held := NEW.reserved;
        ELSIF NEW.reserved IS DISTINCT FROM OLD.reserved THEN
            NEW.held := NEW.reserved;
        ELSE
            NEW.reserved := NEW.held;
        END IF;
        RETURN NEW;
    END
    $function$
    """,
    """
    CREATE TRIGGER keep_reserved_reads BEFORE INSERT OR UPDATE ON post_reads
       FOR EACH ROW EXECUTE FUNCTION keep_reserved_reads()
    """,
)


def upgrade() -> None:
    """Add the column and keep it in step with the former one."""
    for statement in STATEMENTS:
        op.execute(statement)
