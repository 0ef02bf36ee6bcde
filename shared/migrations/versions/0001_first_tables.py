"""The first tables."""

from alembic import op

from shared.partitions import FUNCTION, ensure_partitions

revision = "0001"
down_revision = None

SCHEMA = """
CREATE TABLE accounts (
    account_id TEXT NOT NULL,
    workspace_id TEXT NOT NULL,
    platform TEXT NOT NULL,
    platform_account_id TEXT NOT NULL,
    login TEXT,
    kind TEXT,
    name TEXT,
    sealed_access_token TEXT,
    sealed_refresh_token TEXT,
    token_expires_at TIMESTAMP WITH TIME ZONE,
    refresh_token_expires_at TIMESTAMP WITH TIME ZONE,
    token_minted_at TIMESTAMP WITH TIME ZONE,
    token_version BIGINT DEFAULT 1 NOT NULL,
    scopes TEXT[] DEFAULT '{}' NOT NULL,
    state TEXT DEFAULT 'active' NOT NULL,
    state_reason TEXT,
    state_changed_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (account_id)
);
CREATE INDEX accounts_by_workspace ON accounts (workspace_id);

CREATE TABLE api_keys (
    key_id TEXT NOT NULL,
    workspace_id TEXT NOT NULL,
    name TEXT,
    key_hash BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    last_used_at TIMESTAMP WITH TIME ZONE,
    revoked_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (key_id),
    UNIQUE (key_hash)
);

CREATE TABLE events_seen (
    event_id TEXT NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (event_id)
);

CREATE TABLE pauses (
    platform TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    paused_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    paused_until TIMESTAMP WITH TIME ZONE NOT NULL,
    reason TEXT NOT NULL,
    refusals INTEGER DEFAULT 1 NOT NULL,
    PRIMARY KEY (platform, kind, subject)
);

CREATE TABLE refused_metrics (
    platform TEXT NOT NULL,
    api_version TEXT NOT NULL,
    object_type TEXT NOT NULL,
    metric TEXT NOT NULL,
    refused_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    probe_after TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (platform, api_version, object_type, metric)
);

CREATE TABLE snapshots (
    publication_id BIGINT NOT NULL,
    taken_at TIMESTAMP WITH TIME ZONE NOT NULL,
    last_seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
    reads INTEGER DEFAULT 1 NOT NULL,
    claim_seq BIGINT NOT NULL,
    sync_status TEXT NOT NULL,
    metrics JSONB NOT NULL,
    PRIMARY KEY (publication_id, taken_at)
)
 PARTITION BY RANGE (taken_at);

CREATE TABLE publications (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    workspace_id TEXT NOT NULL,
    post_id TEXT NOT NULL,
    account_id TEXT NOT NULL,
    platform TEXT NOT NULL,
    platform_post_id TEXT,
    publish_id TEXT,
    platform_post_url TEXT,
    media_type TEXT,
    text TEXT,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    published_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    FOREIGN KEY(account_id) REFERENCES accounts (account_id)
);
CREATE UNIQUE INDEX publications_account_platform_post ON publications (account_id, platform_post_id);
CREATE UNIQUE INDEX publications_account_publish ON publications (account_id, publish_id);
CREATE INDEX publications_by_platform_post ON publications (workspace_id, platform_post_id);
CREATE INDEX publications_by_post ON publications (workspace_id, post_id);
CREATE INDEX publications_by_publish ON publications (workspace_id, publish_id) WHERE publish_id IS NOT NULL;
CREATE INDEX publications_newest ON publications (workspace_id, created_at DESC, id DESC);
CREATE INDEX publications_newest_of_account
    ON publications (workspace_id, account_id, created_at DESC, id DESC);
CREATE INDEX publications_newest_of_platform
    ON publications (workspace_id, platform, created_at DESC, id DESC);
CREATE INDEX publications_post_owner ON publications (post_id);

CREATE TABLE post_analytics (
    publication_id BIGINT NOT NULL,
    sync_status TEXT DEFAULT 'pending' NOT NULL,
    metrics JSONB DEFAULT '{}' NOT NULL,
    warnings TEXT[] DEFAULT '{}' NOT NULL,
    error_message TEXT,
    last_updated_at TIMESTAMP WITH TIME ZONE,
    stale_after TIMESTAMP WITH TIME ZONE,
    attempted_at TIMESTAMP WITH TIME ZONE,
    outcome TEXT,
    outcome_detail TEXT,
    snapshot_at TIMESTAMP WITH TIME ZONE,
    version BIGINT DEFAULT 0 NOT NULL,
    PRIMARY KEY (publication_id),
    FOREIGN KEY(publication_id) REFERENCES publications (id) ON DELETE CASCADE
);

CREATE TABLE refresh_state (
    publication_id BIGINT NOT NULL,
    account_id TEXT NOT NULL,
    next_run_at TIMESTAMP WITH TIME ZONE,
    claim_seq BIGINT DEFAULT 0 NOT NULL,
    claimed_at TIMESTAMP WITH TIME ZONE,
    priority SMALLINT DEFAULT 0 NOT NULL,
    attempts SMALLINT DEFAULT 0 NOT NULL,
    unfinished SMALLINT DEFAULT 0 NOT NULL,
    missing_since TIMESTAMP WITH TIME ZONE,
    reason TEXT DEFAULT 'new' NOT NULL,
    PRIMARY KEY (publication_id),
    FOREIGN KEY(publication_id) REFERENCES publications (id) ON DELETE CASCADE
)
 WITH (fillfactor = 80);
CREATE INDEX refresh_state_claimed ON refresh_state (account_id) WHERE claimed_at IS NOT NULL;
CREATE INDEX refresh_state_due ON refresh_state (next_run_at);
CREATE INDEX refresh_state_due_of_account ON refresh_state (account_id, next_run_at);
CREATE INDEX refresh_state_interactive ON refresh_state (account_id, next_run_at) WHERE priority > 0;

CREATE TABLE snapshots_default PARTITION OF snapshots DEFAULT;
"""


def upgrade() -> None:
    """Create everything, and the partitions that the first inserts need."""
    for statement in SCHEMA.split(";\n"):
        if statement.strip():
            op.execute(statement)
    op.execute(FUNCTION)
    ensure_partitions(op.get_bind())
