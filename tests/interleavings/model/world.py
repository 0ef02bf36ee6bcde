"""The worlds: the few rows that a run starts from, put back in some milliseconds before each run.

Every world has one account ``acc`` at TikTok (whose public ids may arrive later) with a row in every state
that a row of an active account can be in; the worlds differ in what happened before. Rows lie in the tables
with the highest id first, so that a statement which orders its locks differs from one that takes rows as they
lie.
"""

from typing import Final

import psycopg
from pydantic import SecretStr

from shared.accounts.vault import Vault
from shared.erasure.requests import SENTENCE

ACCOUNT: Final = "acc"
WORKSPACE: Final = "ws"

CLAIMED: Final = 1
"""Claimed by the job that a refresh operation runs; synced before."""
CLAIMED_WITHOUT_ID: Final = 2
"""Claimed by the same job; TikTok has not reported its public id yet."""
DUE: Final = 3
LATER: Final = 4
WITHOUT_ID: Final = 5
"""Stopped: nothing is known that its platform could be asked for."""
QUARANTINED: Final = 6
EXPIRED: Final = 7
"""Its worker's lease has ended."""
LAST: Final = 7
ERASURE: Final = "era_explored"
"""The code of an erasure of the account that is under way."""

_CLEAR = """
DELETE FROM events_seen; DELETE FROM operator_acts; DELETE FROM turns; DELETE FROM post_reads;
DELETE FROM pauses; DELETE FROM snapshots;
DELETE FROM publications; DELETE FROM accounts; DELETE FROM publication_counts;
DELETE FROM account_timers; DELETE FROM ready_accounts;
DELETE FROM erasures; DELETE FROM api_keys; DELETE FROM retention_runs; DELETE FROM last_snapshots;
DELETE FROM webhook_endpoints; DELETE FROM daily_snapshots; DELETE FROM signals;
"""
_ACCOUNT = """
INSERT INTO accounts (account_id, workspace_id, platform, platform_account_id, sealed_access_token,
                      sealed_refresh_token, token_expires_at, token_minted_at, scopes)
VALUES ('acc', 'ws', '{platform}', 'pa', '{access}', '{refresh}', now() + interval '{expires}',
        now() - interval '30 hours', '{{}}');
"""
_ROWS = """
INSERT INTO publications
       (id, workspace_id, post_id, account_id, platform, platform_post_id, publish_id, created_at)
OVERRIDING SYSTEM VALUE
SELECT n, 'ws', 'post_' || n, 'acc', '{platform}', CASE WHEN n NOT IN (2, 5) THEN '70' || n END,
       CASE WHEN n = 2 THEN 'p2' END, now() - interval '1 day' FROM generate_series(1, 7) n;
SELECT setval(pg_get_serial_sequence('publications', 'id'), 7);
INSERT INTO refresh_state
       (publication_id, account_id, next_run_at, claim_seq, claimed_at, attempts, unfinished, reason)
VALUES (7, 'acc', now() - interval '5 s', 5, now() - interval '65 s', 1, 1, 'claimed'),
       (6, 'acc', NULL, 9, NULL, 6, 6, 'quarantined'),
       (5, 'acc', NULL, 0, NULL, 0, 0, 'stopped'),
       (4, 'acc', now() + interval '5 hours', 5, NULL, 0, 0, 'stale'),
       (3, 'acc', now() - interval '60 s', 5, NULL, 0, 0, 'stale'),
       (2, 'acc', now() + interval '60 s', 5, now() - interval '1 s', 0, 0, 'claimed'),
       (1, 'acc', now() + interval '60 s', 5, now() - interval '1 s', 0, 0, 'claimed');
INSERT INTO post_analytics
       (publication_id, sync_status, metrics, last_updated_at, stale_after, snapshot_at, outcome, version)
SELECT n, 'synced', CAST('{{"views": 10}}' AS jsonb), now() - interval '7 hours', now() - interval '1 hour',
       now() - interval '7 hours', 'synced', 4 FROM unnest(ARRAY[1, 3, 4, 7]) n
 UNION ALL SELECT n, 'pending', '{{}}', NULL, NULL, NULL, NULL, 0 FROM unnest(ARRAY[2, 5]) n
 UNION ALL SELECT 6, 'failed', '{{}}', NULL, NULL, NULL, 'quarantined', 9;
INSERT INTO snapshots (publication_id, taken_at, last_seen_at, claim_seq, sync_status, metrics)
SELECT publication_id, snapshot_at, last_updated_at, 4, sync_status, metrics
  FROM post_analytics WHERE snapshot_at IS NOT NULL;
"""
_BLOCKED = """
UPDATE accounts SET state = 'disconnected', state_reason = 'connect it again';
UPDATE refresh_state
   SET next_run_at = NULL, claimed_at = NULL, attempts = 0, unfinished = 0, reason = 'blocked'
 WHERE reason <> 'quarantined';
UPDATE post_analytics SET sync_status = 'requires_reconnect', error_message = 'connect it again'
 WHERE publication_id <> 6;
"""
_PAUSED = """
INSERT INTO pauses (platform, kind, subject, paused_until, reason)
VALUES ('*', 'operator_account', 'acc', '9999-01-01T00:00Z', 'by an operator');
UPDATE refresh_state SET reason = 'paused', next_run_at = '9999-01-01T00:00:05Z' WHERE publication_id = 3;
"""
_SPENT = """
INSERT INTO post_reads (platform, day, reads) VALUES ('x', CAST(now() AT TIME ZONE 'UTC' AS date), 100);
INSERT INTO pauses (platform, kind, subject, paused_until, reason)
VALUES ('x', 'app', 'budget', date_trunc('month', now()) + interval '1 month', 'The budget is spent.');
UPDATE refresh_state SET reason = 'paused', next_run_at = date_trunc('month', now()) + interval '1 month 5 s'
 WHERE publication_id = 3;
"""
_ERASING: Final = f"""
INSERT INTO erasures (code, kind, subject, source, phase)
VALUES ('{ERASURE}', 'account',
        '{{"workspace_id": "{WORKSPACE}", "account_id": "{ACCOUNT}", "publications": []}}', 'command',
        'collecting');
INSERT INTO erasure_identifiers
VALUES ('{ERASURE}', 'account', '{ACCOUNT}'), ('{ERASURE}', 'platform_account', 'pa');
UPDATE accounts
   SET state = 'disconnected', state_reason = '{SENTENCE}', erasure = '{ERASURE}', sealed_access_token = NULL,
       sealed_refresh_token = NULL, token_expires_at = NULL, token_minted_at = NULL, token_version = 2;
UPDATE refresh_state
   SET next_run_at = NULL, claimed_at = NULL, claim_seq = claim_seq + 1, attempts = 0, unfinished = 0,
       reason = 'blocked'
 WHERE reason <> 'quarantined';
UPDATE post_analytics SET sync_status = 'requires_reconnect', error_message = '{SENTENCE}'
 WHERE publication_id <> 6;
"""
_DELIVERING: Final = """
INSERT INTO webhook_endpoints
       (endpoint_id, workspace_id, url, host, types, sealed_secret, claim_seq, next_run_at, rows_allowed)
VALUES ('whe_1', 'ws', 'https://receiver.test/', 'receiver.test',
        '{analytics.updated,analytics.deleted}', '{secret}', 5, now() - interval '1 s', 50);
UPDATE webhook_probe SET probed_at = '-infinity';
"""
_ENDED_MONTH: Final = """
DROP TABLE IF EXISTS snapshots_2020_01;
CREATE TABLE snapshots_2020_01 PARTITION OF snapshots
   FOR VALUES FROM ('2020-01-01T00:00Z') TO ('2020-02-01T00:00Z');
INSERT INTO retention_runs (unit, month, ended_at) VALUES ('roll_up', '2020-01-01', now());
"""
WORLDS: Final = {
    "active": ("tiktok", "1 day", ""),
    "disconnected": ("tiktok", "1 day", _BLOCKED),
    "expiring": ("tiktok", "1 minute", ""),
    "paused": ("tiktok", "1 day", _PAUSED),
    "spent": ("x", "1 day", _SPENT),
    "erasing": ("tiktok", "1 day", _ERASING),
    "delivering": ("tiktok", "1 day", _DELIVERING),
    "ended_month": ("tiktok", "1 day", _ENDED_MONTH),
}
"""Platform, life of the access token, and what happened before."""


SERVED: Final = """
ROW(s.metrics, s.sync_status, s.warnings, s.error_message, p.post_id,
    COALESCE(p.platform_post_id, p.publish_id))
"""
_REMEMBER: Final = f"""
CREATE SCHEMA IF NOT EXISTS explorer;
CREATE TABLE IF NOT EXISTS explorer.start (id bigint, served text, changed_in xid8);
DELETE FROM changes WHERE gone IS NOT NULL;
DELETE FROM explorer.start;
INSERT INTO explorer.start
SELECT p.id, {SERVED}::text, c.changed_in
  FROM publications p JOIN post_analytics s ON s.publication_id = p.id JOIN changes c USING (publication_id)
 UNION ALL SELECT 0, ROW(state, state_reason)::text, changed_in FROM accounts WHERE account_id = '{ACCOUNT}';
"""
"""What is served before a run; the invariants of the feed compare with it."""


class Reset:
    """Puts a world back; every instant in it is relative to now."""

    def __init__(self, connection: psycopg.Connection, vault: Vault) -> None:
        self._connection = connection
        access, refresh = vault.seal(SecretStr("access-1")), vault.seal(SecretStr("refresh-1"))
        self._scripts = {
            name: _CLEAR
            + (_ACCOUNT + _ROWS).format(platform=platform, expires=expires, access=access, refresh=refresh)
            + changes.replace("{secret}", access)
            for name, (platform, expires, changes) in WORLDS.items()
        }

    def __call__(self, world: str, extra: str = "") -> None:
        """Put a world back, with ``extra`` statements after it."""
        self._connection.execute(f"BEGIN; {self._scripts[world]} {extra}; {_REMEMBER}; COMMIT")
