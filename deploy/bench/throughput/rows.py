"""Accounts and publications of the throughput benchmark, written by SQL, with encrypted tokens."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import psycopg
from pydantic import SecretStr

from deploy.local.servers.postgres import Postgres
from shared.accounts.vault import Vault
from shared.vocabulary import Platform

_IDS: Final = {
    Platform.X: "'19' || lpad(n::text, 16, '0')",
    Platform.TIKTOK: "'72' || lpad(n::text, 17, '0')",
    Platform.LINKEDIN: "'urn:li:share:71' || lpad(n::text, 17, '0')",
    Platform.FACEBOOK: "a.platform_account_id || '_12' || lpad(n::text, 13, '0')",
    Platform.INSTAGRAM: "'179' || lpad(n::text, 14, '0')",
}
_SCOPES: Final = {
    Platform.X: ["tweet.read", "users.read"],
    Platform.TIKTOK: ["video.list"],
    Platform.LINKEDIN: ["rw_organization_admin", "r_organization_social"],
    Platform.FACEBOOK: ["read_insights", "pages_read_engagement"],
    Platform.INSTAGRAM: ["instagram_basic", "instagram_manage_insights", "pages_read_engagement"],
}
_ACCOUNT: Final = """
INSERT INTO accounts (account_id, workspace_id, platform, platform_account_id, login, kind, scopes,
                      sealed_access_token, token_expires_at)
VALUES (%(account)s, %(workspace)s, %(platform)s, %(number)s, %(login)s, %(kind)s, %(scopes)s, %(token)s,
        now() + interval '100 days')
"""
_PUBLICATIONS: Final = """
INSERT INTO publications (workspace_id, post_id, account_id, platform, platform_post_id, media_type,
                          created_at, published_at)
SELECT a.workspace_id, a.account_id || '_' || n, a.account_id, a.platform, {ids}, 'IMAGE',
       now() - interval '90 days', now() - interval '90 days'
  FROM generate_series(1, %(rows)s) AS g (i)
  JOIN (SELECT *, row_number() OVER (ORDER BY account_id) - 1 AS place, count(*) OVER () AS accounts
          FROM accounts WHERE platform = %(platform)s) a ON a.place = i %% a.accounts
 CROSS JOIN LATERAL (SELECT i AS n) AS numbered
"""
_STATE: Final = """
INSERT INTO refresh_state (publication_id, account_id, next_run_at, reason)
SELECT id, account_id, now() + interval '1 day', 'stale' FROM publications WHERE platform = %(platform)s
"""
_ANALYTICS: Final = """
INSERT INTO post_analytics (publication_id, sync_status, metrics, last_updated_at, snapshot_at)
SELECT id, 'synced', '{"views": 1}', now(), now() FROM publications WHERE platform = %(platform)s
"""


Database = psycopg.Connection[tuple[Any, ...]]


def bench_database(postgres: Postgres, name: str, code: Path) -> Database:
    """Make the database ``bench_NAME`` with the schema of a checkout, and connect to it."""
    url = postgres.url_of(f"bench_{name}")
    plain = "postgresql+psycopg://", "postgresql://"
    with psycopg.connect(postgres.url.replace(*plain), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE bench_{name}".encode())
    program = "import sys; from shared.database import migrate; migrate(sys.stdin.read())"
    subprocess.run([sys.executable, "-c", program], cwd=code, input=url.encode(), check=True)
    return psycopg.connect(url.replace(*plain), autocommit=True)


def load(database: Database, platform: Platform, rows: int, accounts: int, key: str) -> None:
    """Add ``rows`` publications on ``accounts`` accounts of a platform, none of them due.

    They were fetched today, so that a fetch at X is not billed again.
    """
    vault = Vault([SecretStr(key)])
    for number in range(accounts):
        database.execute(
            _ACCOUNT,
            {
                "account": f"acc_{platform.value}_{number}",
                "workspace": f"ws_{number % 20}",
                "platform": platform.value,
                "number": str(1_000_000 + number),
                "login": "facebook" if platform is Platform.INSTAGRAM else None,
                "kind": "organization" if platform is Platform.LINKEDIN else None,
                "scopes": _SCOPES[platform],
                "token": vault.seal(SecretStr(f"prepared-token-of-{platform.value}-{number}")),
            },
        )
    bound = {"rows": rows, "platform": platform.value}
    database.execute(_PUBLICATIONS.format(ids=_IDS[platform]).encode(), bound)
    database.execute(_ANALYTICS, bound)
    database.execute(_STATE, bound)
    database.execute("ANALYZE")


def make_due(database: Database, platforms: Sequence[Platform]) -> None:
    """Make every row of these platforms due, and every other row not due."""
    database.execute(
        "UPDATE refresh_state r SET claimed_at = NULL, claim_seq = claim_seq + 1, reason = 'stale',"
        " priority = 0, next_run_at = now() + CASE WHEN a.platform = ANY(%(platforms)s) THEN interval '0'"
        " ELSE interval '1 day' END FROM accounts a WHERE a.account_id = r.account_id",
        {"platforms": [platform.value for platform in platforms]},
    )
    database.execute("VACUUM (ANALYZE) refresh_state, post_analytics, publications")
    database.execute("CHECKPOINT")
