"""A role for the read API's reads: it may see what is served and no sealed token, and write what is due."""

from alembic import op

revision = "0050"
down_revision = "0040"

VIEW = """
CREATE VIEW served_accounts AS
SELECT account_id, workspace_id, platform, kind, state,
       CASE WHEN sealed_access_token IS NOT NULL THEN 'sealed' END AS sealed_access_token
  FROM accounts
"""
"""What the API asks about an account: whether it has a token, and never the token."""

# Roles belong to the whole cluster. Who may not create them goes without: the API keeps its own rights then.
ROLE = """
DO $do$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'dravo_api') THEN
        BEGIN
            CREATE ROLE dravo_api NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- another database of the cluster was migrated in the same moment
        END;
    END IF;
    GRANT dravo_api TO CURRENT_USER;
    GRANT SELECT ON publications, post_analytics, refresh_state, snapshots, pauses, publication_counts,
        api_keys, served_accounts TO dravo_api;
    GRANT SELECT (account_id, workspace_id, platform, state) ON accounts TO dravo_api;
    GRANT UPDATE (next_run_at, reason, priority) ON refresh_state TO dravo_api;
    GRANT UPDATE (last_used_at) ON api_keys TO dravo_api;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'the role dravo_api was not made: %', SQLERRM;
END
$do$
"""


def upgrade() -> None:
    """Create the view and the role, and grant its rights."""
    op.execute(VIEW)
    op.execute(ROLE)
