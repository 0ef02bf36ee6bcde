"""Webhook endpoints: their clock, their secrets, their log, and a role for the process that delivers."""

from alembic import op

revision = "0170"
down_revision = "0160"

STATEMENTS = (
    """
    CREATE TABLE webhook_endpoints (
        endpoint_id TEXT PRIMARY KEY,
        workspace_id TEXT NOT NULL,
        url TEXT NOT NULL,
        host TEXT NOT NULL,
        types TEXT[] NOT NULL DEFAULT '{}',
        thin BOOLEAN NOT NULL DEFAULT FALSE,
        state TEXT NOT NULL DEFAULT 'enabled',
        state_reason TEXT,
        state_changed_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        sealed_secret TEXT NOT NULL,
        sealed_former_secret TEXT,
        former_secret_until TIMESTAMPTZ,
        next_run_at TIMESTAMPTZ,
        claim_seq BIGINT NOT NULL DEFAULT 0,
        rest_until TIMESTAMPTZ NOT NULL DEFAULT now(),
        cursor TEXT,
        changed_in XID8 NOT NULL DEFAULT '0',
        changed_key BIGINT NOT NULL DEFAULT 0,
        redelivery INTEGER NOT NULL DEFAULT 0,
        reset BOOLEAN NOT NULL DEFAULT FALSE,
        rows_allowed INTEGER NOT NULL DEFAULT 50,
        most_rows INTEGER NOT NULL DEFAULT 50,
        failures INTEGER NOT NULL DEFAULT 0,
        refused_alone INTEGER NOT NULL DEFAULT 0,
        slow BOOLEAN NOT NULL DEFAULT FALSE,
        failing_since TIMESTAMPTZ,
        failure TEXT,
        reported_at TIMESTAMPTZ,
        delivered_at TIMESTAMPTZ
    ) WITH (fillfactor = 70)
    """,
    "CREATE INDEX webhook_endpoints_due ON webhook_endpoints (next_run_at) WHERE state = 'enabled'",
    "CREATE INDEX webhook_endpoints_by_workspace ON webhook_endpoints (workspace_id)",
    """
    CREATE TABLE webhook_refused_rows (
        endpoint_id TEXT NOT NULL REFERENCES webhook_endpoints (endpoint_id) ON DELETE CASCADE,
        workspace_id TEXT NOT NULL,
        subject TEXT NOT NULL,
        refused_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        tries INTEGER NOT NULL DEFAULT 0,
        next_try_at TIMESTAMPTZ,
        PRIMARY KEY (endpoint_id, subject)
    )
    """,
    "CREATE INDEX webhook_refused_rows_due ON webhook_refused_rows (next_try_at)",
    """
    CREATE TABLE webhook_notices (
        notice_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        endpoint_id TEXT NOT NULL REFERENCES webhook_endpoints (endpoint_id) ON DELETE CASCADE,
        workspace_id TEXT NOT NULL,
        type TEXT NOT NULL,
        body JSONB NOT NULL,
        created_at TIMESTAMPTZ NOT NULL DEFAULT now()
    )
    """,
    "CREATE INDEX webhook_notices_of_endpoint ON webhook_notices (endpoint_id, notice_id)",
    """
    CREATE TABLE webhook_deliveries (
        delivery_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        endpoint_id TEXT NOT NULL REFERENCES webhook_endpoints (endpoint_id) ON DELETE CASCADE,
        workspace_id TEXT NOT NULL,
        delivered_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        type TEXT NOT NULL,
        message_id TEXT NOT NULL,
        rows INTEGER NOT NULL,
        attempt INTEGER NOT NULL,
        outcome TEXT NOT NULL,
        status INTEGER,
        failure TEXT,
        seconds DOUBLE PRECISION NOT NULL,
        cursor_before TEXT
    )
    """,
    "CREATE INDEX webhook_deliveries_of_endpoint ON webhook_deliveries (endpoint_id, delivery_id)",
    "CREATE INDEX webhook_deliveries_old ON webhook_deliveries (delivered_at)",
    """
    CREATE TABLE webhook_senders (
        sender_id TEXT PRIMARY KEY,
        seen_at TIMESTAMPTZ NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE webhook_probe (
        probe TEXT PRIMARY KEY,
        probed_at TIMESTAMPTZ NOT NULL
    ) WITH (fillfactor = 10)
    """,
    "INSERT INTO webhook_probe VALUES ('news', now())",
)

# As in 0110. The sender reads what clients may see, and neither platform tokens nor API keys. It may read
# refresh_state because a session takes that right for the mark of a database that has granted the others.
ROLE = """
DO $do$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'dravo_sender') THEN
        BEGIN
            CREATE ROLE dravo_sender NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- another database of the cluster was migrated in the same moment
        END;
    END IF;
    BEGIN
        GRANT dravo_sender TO CURRENT_USER;
    EXCEPTION WHEN insufficient_privilege THEN
        NULL; -- somebody else made the role: the service may still log in as it
    END;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO dravo_sender', current_schema());
    GRANT SELECT ON publications, post_analytics, changes, refresh_state TO dravo_sender;
    GRANT SELECT (account_id, workspace_id, platform, name, state, state_reason, state_changed_at, changed_in)
        ON accounts TO dravo_sender;
    GRANT SELECT, UPDATE ON webhook_endpoints, webhook_probe TO dravo_sender;
    GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_refused_rows TO dravo_sender;
    GRANT SELECT, INSERT, DELETE ON webhook_notices, webhook_deliveries TO dravo_sender;
    GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_senders TO dravo_sender;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'the role dravo_sender was not made: %', SQLERRM;
END
$do$
"""

GRANTS = """
DO $do$
BEGIN
    GRANT SELECT (endpoint_id, workspace_id, state, next_run_at, failing_since, changed_in, changed_key)
        ON webhook_endpoints TO dravo_scheduler;
    GRANT SELECT ON webhook_senders TO dravo_scheduler;
EXCEPTION WHEN insufficient_privilege OR undefined_object THEN
    RAISE NOTICE 'dravo_scheduler does not export metrics of webhooks: %', SQLERRM;
END
$do$
"""


def upgrade() -> None:
    """Create the tables and the role."""
    for statement in STATEMENTS:
        op.execute(statement)
    op.execute(ROLE)
    op.execute(GRANTS)
