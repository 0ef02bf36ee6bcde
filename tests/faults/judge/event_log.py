"""The journal: what happened to every row, written down by triggers that the product knows nothing of."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from psycopg import Connection

INSTALL = """
CREATE SCHEMA faults;
CREATE TABLE faults.steps (
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    job BIGINT NOT NULL DEFAULT txid_current(),
    publication_id BIGINT NOT NULL,
    kind TEXT NOT NULL,
    due TIMESTAMPTZ,
    seq BIGINT NOT NULL
);
CREATE TABLE faults.backwards (
    at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), publication_id BIGINT NOT NULL, what TEXT NOT NULL
);
CREATE FUNCTION faults.note_state() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO faults.steps (publication_id, kind, due, seq) VALUES (NEW.publication_id,
        CASE WHEN NEW.claim_seq > OLD.claim_seq AND NEW.claimed_at IS NULL
             THEN CASE NEW.reason WHEN 'blocked' THEN 'blocked' ELSE 'released' END
             WHEN NEW.claim_seq > OLD.claim_seq AND NEW.unfinished > OLD.unfinished THEN 'started'
             WHEN NEW.claim_seq > OLD.claim_seq AND OLD.claimed_at IS NULL THEN 'claimed'
             WHEN NEW.claim_seq > OLD.claim_seq THEN 'reclaimed'
             WHEN OLD.claimed_at IS NOT NULL AND NEW.claimed_at IS NULL THEN 'finished'
             WHEN NEW.claimed_at IS NOT NULL AND NEW.next_run_at > OLD.next_run_at THEN 'extended'
             ELSE 'asked' END,
        NEW.next_run_at, NEW.claim_seq);
    IF NEW.claim_seq < OLD.claim_seq THEN
        INSERT INTO faults.backwards (publication_id, what) VALUES (NEW.publication_id, 'claim_seq');
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION faults.note_analytics() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF NEW.last_updated_at IS DISTINCT FROM OLD.last_updated_at THEN
        INSERT INTO faults.steps (publication_id, kind, due, seq)
        VALUES (NEW.publication_id, 'read', NEW.last_updated_at, NEW.version);
    END IF;
    IF NEW.version < OLD.version THEN
        INSERT INTO faults.backwards (publication_id, what) VALUES (NEW.publication_id, 'version');
    END IF;
    IF NEW.last_updated_at < OLD.last_updated_at THEN
        INSERT INTO faults.backwards (publication_id, what) VALUES (NEW.publication_id, 'last_updated_at');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER note_state AFTER UPDATE ON refresh_state FOR EACH ROW EXECUTE FUNCTION faults.note_state();
CREATE TRIGGER note_analytics AFTER UPDATE ON post_analytics
    FOR EACH ROW EXECUTE FUNCTION faults.note_analytics();
"""


class Step(NamedTuple):
    """One change of a row.

    ``due``: the row's next run from then on, or the instant of a reading. ``seq``: its claim then, or the
    claim that wrote the reading. ``job``: changes of one transaction share it.
    """

    n: int
    at: datetime
    job: int
    publication_id: int
    kind: str
    due: datetime | None
    seq: int


class Journal:
    """What the triggers wrote. Each use takes a connection, because faults break connections."""

    @staticmethod
    def install(connection: Connection) -> None:
        """Make the tables and triggers."""
        connection.execute(INSTALL)

    @staticmethod
    def clear(connection: Connection) -> None:
        """Forget everything, so that a round reads only its own steps."""
        connection.execute("TRUNCATE faults.steps, faults.backwards")

    @staticmethod
    def steps(connection: Connection) -> list[Step]:
        """Return all steps in the order in which they were written."""
        rows: Iterable[tuple[int, datetime, int, int, str, datetime | None, int]] = connection.execute(
            "SELECT n, at, job, publication_id, kind, due, seq FROM faults.steps ORDER BY n"
        )
        return [Step(*row) for row in rows]

    @staticmethod
    def backwards(connection: Connection) -> list[str]:
        """Return what went back that never may."""
        rows = connection.execute("SELECT at, publication_id, what FROM faults.backwards ORDER BY at")
        return [f"{what} of publication {one} went back at {at:%H:%M:%S.%f}" for at, one, what in rows]
