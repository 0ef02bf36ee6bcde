"""Each account lookup has one index that can answer it: the triggers' plans follow no statistics, either."""

from alembic import op

revision = "0240"
down_revision = "0230"

# The table is small, and claims keep its rows for moments.
KEY = """
ALTER TABLE ready_accounts DROP CONSTRAINT ready_accounts_pkey, ADD PRIMARY KEY (account_id, lane)
"""

# A session keeps the plans of these functions, also those that it made while the table was empty.
FUNCTIONS = (
    """
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
               SELECT FROM account_timers t
                WHERE t.account_id = r.account_id AND t.lane + 0 = r.lane AND t.rows_from <= r.next_run_at
                  AND t.xmin = CAST(pg_current_xact_id() AS xid) OFFSET 0);
        RETURN NULL;
    END
    $function$
    """,
    """
    CREATE OR REPLACE FUNCTION time_earlier_row() RETURNS trigger LANGUAGE plpgsql
       SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
    BEGIN
        INSERT INTO account_timers (account_id, lane, due_at, rows_from)
        SELECT NEW.account_id, l.lane, GREATEST(NEW.next_run_at, clock_timestamp()), NEW.next_run_at
          FROM (VALUES (0), (1)) AS l (lane)
         WHERE NEW.priority >= l.lane AND NOT EXISTS (
               SELECT FROM account_timers t
                WHERE t.account_id = NEW.account_id AND t.lane + 0 = l.lane
                  AND t.rows_from <= NEW.next_run_at
                  AND t.xmin = CAST(pg_current_xact_id() AS xid) OFFSET 0);
        RETURN NULL;
    END
    $function$
    """,
)


def upgrade() -> None:
    """Replace the key and the functions."""
    op.execute(KEY)
    for function in FUNCTIONS:
        op.execute(function)
