"""The event log: every change of a row, recorded by triggers that the product does not know."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from psycopg import Connection

INSTALL = """
CREATE SCHEMA faults;
CREATE TABLE faults.row_changes (
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    job BIGINT NOT NULL DEFAULT txid_current(),
    publication_id BIGINT NOT NULL,
    kind TEXT NOT NULL,
    due TIMESTAMPTZ,
    seq BIGINT NOT NULL
);
CREATE TABLE faults.decreases (
    at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), publication_id BIGINT NOT NULL, what TEXT NOT NULL
);
CREATE FUNCTION faults.record_state() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO faults.row_changes (publication_id, kind, due, seq) VALUES (NEW.publication_id,
        CASE WHEN NEW.claim_seq > OLD.claim_seq AND NEW.claimed_at IS NULL
             THEN CASE NEW.reason WHEN 'blocked' THEN 'blocked' ELSE 'released' END
             WHEN NEW.claim_seq > OLD.claim_seq AND NEW.unfinished > OLD.unfinished THEN 'started'
             WHEN NEW.claim_seq > OLD.claim_seq AND OLD.claimed_at IS NULL THEN 'claimed'
             WHEN NEW.claim_seq > OLD.claim_seq THEN 'reclaimed'
             WHEN OLD.claimed_at IS NOT NULL AND NEW.claimed_at IS NULL THEN 'finished'
             WHEN NEW.claimed_at IS NOT NULL AND NEW.next_run_at > OLD.next_run_at THEN 'extended'
             ELSE 'made_due' END,
        NEW.next_run_at, NEW.claim_seq);
    IF NEW.claim_seq < OLD.claim_seq THEN
        INSERT INTO faults.decreases (publication_id, what) VALUES (NEW.publication_id, 'claim_seq');
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION faults.record_analytics() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF NEW.last_updated_at IS DISTINCT FROM OLD.last_updated_at THEN
        INSERT INTO faults.row_changes (publication_id, kind, due, seq)
        VALUES (NEW.publication_id, 'read', NEW.last_updated_at, NEW.version);
    END IF;
    IF NEW.version < OLD.version THEN
        INSERT INTO faults.decreases (publication_id, what) VALUES (NEW.publication_id, 'version');
    END IF;
    IF NEW.last_updated_at < OLD.last_updated_at THEN
        INSERT INTO faults.decreases (publication_id, what) VALUES (NEW.publication_id, 'last_updated_at');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER record_state AFTER UPDATE ON refresh_state FOR EACH ROW EXECUTE FUNCTION faults.record_state();
CREATE TRIGGER record_analytics AFTER UPDATE ON post_analytics
    FOR EACH ROW EXECUTE FUNCTION faults.record_analytics();
"""


class RowChange(NamedTuple):
    """One change of a row.

    ``due``: the row's next run after the change, or the instant of a reading. ``seq``: the ``claim_seq`` of
    the row after the change, or of the claim which wrote the reading. ``job``: the transaction's id.
    """

    n: int
    at: datetime
    job: int
    publication_id: int
    kind: str
    due: datetime | None
    seq: int


class EventLog:
    """The rows that the triggers wrote. Every method takes a connection, because faults break connections."""

    @staticmethod
    def install(connection: Connection) -> None:
        """Create the tables and triggers."""
        connection.execute(INSTALL)

    @staticmethod
    def clear(connection: Connection) -> None:
        """Delete everything, so that a round sees only its own changes."""
        connection.execute("TRUNCATE faults.row_changes, faults.decreases")

    @staticmethod
    def changes(connection: Connection) -> list[RowChange]:
        """Return all changes in the order in which they were written."""
        rows: Iterable[tuple[int, datetime, int, int, str, datetime | None, int]] = connection.execute(
            "SELECT n, at, job, publication_id, kind, due, seq FROM faults.row_changes ORDER BY n"
        )
        return [RowChange(*row) for row in rows]

    @staticmethod
    def decreases(connection: Connection) -> list[str]:
        """Return a sentence for every value that decreased and may not."""
        rows = connection.execute("SELECT at, publication_id, what FROM faults.decreases ORDER BY at")
        return [f"{what} of publication {one} decreased at {at:%H:%M:%S.%f}" for at, one, what in rows]
