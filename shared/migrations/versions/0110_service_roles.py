"""A role for the scheduler and one for the worker: each may do in the database what its work needs."""

from alembic import op

from shared.partitions import FUNCTION

revision = "0110"
down_revision = "0060"

GRANTS = {
    "dravo_scheduler": """
        GRANT SELECT ON accounts, publications, refresh_state, post_analytics, pauses, turns, post_reads
            TO dravo_scheduler;
        GRANT UPDATE ON refresh_state TO dravo_scheduler;
        GRANT INSERT, UPDATE ON turns TO dravo_scheduler;
        GRANT INSERT, UPDATE, DELETE ON pauses TO dravo_scheduler;
        GRANT EXECUTE ON FUNCTION make_snapshot_partition(date) TO dravo_scheduler;
    """,
    "dravo_worker": """
        GRANT SELECT ON accounts, publications, refresh_state, post_analytics, snapshots, pauses, post_reads,
            refused_metrics, publication_counts TO dravo_worker;
        GRANT UPDATE ON accounts, refresh_state, post_analytics, snapshots TO dravo_worker;
        GRANT UPDATE (platform_post_id, platform_post_url) ON publications TO dravo_worker;
        GRANT INSERT ON snapshots TO dravo_worker;
        GRANT INSERT, UPDATE ON post_reads, publication_counts TO dravo_worker; -- the latter by a trigger
        GRANT INSERT, UPDATE, DELETE ON pauses, refused_metrics TO dravo_worker;
    """,
}

# Roles belong to the whole cluster. Whoever may not create them goes without: services keep all rights.
ROLE = """
DO $do$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        BEGIN
            CREATE ROLE {role} NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- another database of the cluster was migrated in the same moment
        END;
    END IF;
    BEGIN
        GRANT {role} TO CURRENT_USER;
    EXCEPTION WHEN insufficient_privilege THEN
        NULL; -- somebody else made the role: the service may still log in as it
    END;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO {role}', current_schema());
    {grants}
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'the role {role} was not made: %', SQLERRM;
END
$do$
"""

# The age of other services' transactions is shown to members of this role only.
STATISTICS = """
DO $do$
BEGIN
    GRANT pg_read_all_stats TO dravo_scheduler;
EXCEPTION WHEN insufficient_privilege OR undefined_object THEN
    RAISE NOTICE 'dravo_scheduler does not see the transactions of other services: %', SQLERRM;
END
$do$
"""


def upgrade() -> None:
    """Create the function and the roles, and grant their rights."""
    op.execute(FUNCTION)
    for role, grants in GRANTS.items():
        op.execute(ROLE.format(role=role, grants=grants))
    op.execute(STATISTICS)
