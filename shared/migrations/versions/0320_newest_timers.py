"""New rows look at the newest timers of their account alone, however many wait for a scheduler.

An import without a scheduler leaves one timer of each chunk: rows of the fiftieth chunk read fifty of them.
"""

from alembic import op

revision = "0320"
down_revision = "0310"

# This transaction's own timer is among the newest; where it is not, a second one does no harm.
FUNCTION = """
CREATE OR REPLACE FUNCTION time_new_rows() RETURNS trigger LANGUAGE plpgsql
   SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
BEGIN
    INSERT INTO account_timers (account_id, lane, due_at, rows_from)
    SELECT r.account_id, r.lane, GREATEST(r.next_run_at, clock_timestamp()), r.next_run_at
      FROM (SELECT n.account_id, l.lane, min(n.next_run_at) AS next_run_at
              FROM new_rows n JOIN (VALUES (0), (1)) AS l (lane) ON n.priority >= l.lane
             WHERE n.next_run_at IS NOT NULL
             GROUP BY n.account_id, l.lane) r
     WHERE NOT EXISTS (
           SELECT FROM (SELECT newest.lane, newest.rows_from, newest.xmin AS written_in
                          FROM account_timers newest WHERE newest.account_id = r.account_id
                         ORDER BY newest.timer_id DESC LIMIT 4) t
            WHERE t.lane = r.lane AND t.rows_from <= r.next_run_at
              AND t.written_in = CAST(pg_current_xact_id() AS xid) OFFSET 0);
    RETURN NULL;
END
$function$
"""


def upgrade() -> None:
    """Replace the function."""
    op.execute(FUNCTION)
