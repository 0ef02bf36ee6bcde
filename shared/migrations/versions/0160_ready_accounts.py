"""Timers of accounts and the queue of ready accounts, so that a claim reads no account that has nothing due.

Triggers insert the timers: services of the version before, which do not know these tables, need not do so.
"""

from alembic import op

revision = "0160"
down_revision = "0150"

TABLES = """
CREATE TABLE IF NOT EXISTS account_timers (
    account_id TEXT NOT NULL,
    timer_id BIGINT GENERATED ALWAYS AS IDENTITY,
    lane SMALLINT NOT NULL,
    due_at TIMESTAMP WITH TIME ZONE NOT NULL,
    rows_from TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (account_id, timer_id)
);
CREATE INDEX IF NOT EXISTS account_timers_due ON account_timers (lane, due_at);
CREATE TABLE IF NOT EXISTS ready_accounts (
    lane SMALLINT NOT NULL,
    account_id TEXT NOT NULL,
    workspace_id TEXT NOT NULL,
    platform TEXT NOT NULL,
    virtual_time DOUBLE PRECISION NOT NULL,
    rows_from TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (lane, account_id)
);
CREATE INDEX IF NOT EXISTS ready_accounts_in_order ON ready_accounts (lane, platform, virtual_time);
CREATE INDEX IF NOT EXISTS ready_accounts_of_workspace ON ready_accounts
    (lane, platform, workspace_id, virtual_time)
"""

# One timer of a transaction is enough for all rows of an account that are due no earlier. A timer of another
# transaction is not: a claim may delete it before this transaction commits.
FUNCTIONS = (
    """
    CREATE OR REPLACE FUNCTION time_new_rows() RETURNS trigger LANGUAGE plpgsql AS $function$
    BEGIN
        INSERT INTO account_timers (account_id, lane, due_at, rows_from)
        SELECT r.account_id, l.lane, GREATEST(min(r.next_run_at), clock_timestamp()), min(r.next_run_at)
          FROM new_rows r JOIN (VALUES (0), (1)) AS l (lane) ON r.priority >= l.lane
         WHERE r.next_run_at IS NOT NULL
         GROUP BY r.account_id, l.lane
        HAVING NOT EXISTS (
               SELECT FROM account_timers t
                WHERE t.account_id = r.account_id AND t.lane = l.lane AND t.rows_from <= min(r.next_run_at)
                  AND t.xmin = CAST(pg_current_xact_id() AS xid));
        RETURN NULL;
    END
    $function$
    """,
    """
    CREATE OR REPLACE FUNCTION time_earlier_row() RETURNS trigger LANGUAGE plpgsql AS $function$
    BEGIN
        INSERT INTO account_timers (account_id, lane, due_at, rows_from)
        SELECT NEW.account_id, l.lane, GREATEST(NEW.next_run_at, clock_timestamp()), NEW.next_run_at
          FROM (VALUES (0), (1)) AS l (lane)
         WHERE NEW.priority >= l.lane AND NOT EXISTS (
               SELECT FROM account_timers t
                WHERE t.account_id = NEW.account_id AND t.lane = l.lane AND t.rows_from <= NEW.next_run_at
                  AND t.xmin = CAST(pg_current_xact_id() AS xid));
        RETURN NULL;
    END
    $function$
    """,
)

TRIGGERS = (
    """
    CREATE OR REPLACE TRIGGER time_new_rows AFTER INSERT ON refresh_state
        REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION time_new_rows()
    """,
    # The last condition: a suspect (started twice, never finished) has no timer, and is one no longer.
    """
    CREATE OR REPLACE TRIGGER time_earlier_row AFTER UPDATE ON refresh_state FOR EACH ROW
       WHEN (NEW.next_run_at IS NOT NULL
             AND (OLD.next_run_at IS NULL OR NEW.next_run_at < OLD.next_run_at
                  OR NEW.priority > OLD.priority
                  OR (OLD.unfinished >= 2 AND OLD.claimed_at IS NOT NULL
                      AND (NEW.unfinished < 2 OR NEW.claimed_at IS NULL))))
       EXECUTE FUNCTION time_earlier_row()
    """,
)

GRANTS = {
    "dravo_scheduler": (
        "GRANT SELECT, INSERT, DELETE ON account_timers TO dravo_scheduler;"
        " GRANT SELECT, INSERT, UPDATE, DELETE ON ready_accounts TO dravo_scheduler"
    ),
    "dravo_worker": "GRANT SELECT, INSERT ON account_timers TO dravo_worker",
    "dravo_api": "GRANT SELECT, INSERT ON account_timers TO dravo_api",
}

# Whoever may not make roles goes without them (0110): services then have all rights.
GRANT = """
DO $do$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        {grant};
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'rights were not granted to {role}: %', SQLERRM;
END
$do$
"""

# Accounts one by one, through the index: a few microseconds each, however many rows they have.
FILL = """
INSERT INTO account_timers (account_id, lane, due_at, rows_from)
SELECT a.account_id, l.lane, GREATEST(first.next_run_at, now()), first.next_run_at
  FROM accounts a CROSS JOIN (VALUES (0), (1)) AS l (lane)
 CROSS JOIN LATERAL (
       (SELECT r.next_run_at FROM refresh_state r
         WHERE l.lane = 0 AND r.account_id = a.account_id AND r.next_run_at IS NOT NULL
         ORDER BY r.account_id, r.next_run_at LIMIT 1)
        UNION ALL
       (SELECT r.next_run_at FROM refresh_state r
         WHERE l.lane = 1 AND r.account_id = a.account_id AND r.priority > 0 AND r.next_run_at IS NOT NULL
         ORDER BY r.account_id, r.next_run_at LIMIT 1)) first
"""

OPEN_CLAIMS = """
CREATE INDEX CONCURRENTLY refresh_state_open_claims ON refresh_state (claimed_at, account_id)
 WHERE claimed_at IS NOT NULL
"""


def upgrade() -> None:
    """Create tables and triggers; fill the timers once the triggers are committed, so that none is missed."""
    with op.get_context().autocommit_block():
        for statement in TABLES.split(";\n"):
            op.execute(statement)
        for statement in FUNCTIONS:
            op.execute(statement)
        for role, grant in GRANTS.items():
            op.execute(GRANT.format(role=role, grant=grant))
        for statement in TRIGGERS:
            op.execute(statement)
        op.execute(FILL)
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS refresh_state_open_claims")  # of an interrupted build
        op.execute(OPEN_CLAIMS)
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS refresh_state_claimed")
