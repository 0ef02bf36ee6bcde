"""Finds accounts whose tokens expire soon, also those that no refresh would touch before."""

from sqlalchemy import Connection, text

from shared.accounts.token_life import OLD_ENOUGH, RENEW_AHEAD, RENEWED_AT_REST
from shared.quota.pauses import NOT_PAUSED

MOST_AT_ONCE = 200
"""Accounts of one tick."""

_ENDING_SOON = text(f"""
SELECT a.account_id
  FROM accounts a
  JOIN unnest(CAST(:platforms AS text[]), CAST(:aheads AS interval[])) AS l (platform, ahead) USING (platform)
 WHERE a.state = 'active' AND a.token_expires_at BETWEEN now() AND now() + l.ahead
   AND (a.login = 'instagram' OR a.sealed_refresh_token IS NOT NULL)
   AND (a.token_minted_at IS NULL OR a.token_minted_at < now() - :old_enough)
   AND {NOT_PAUSED}
 ORDER BY a.token_expires_at LIMIT :most
""")


def ending_soon(connection: Connection) -> list[str]:
    """Return the accounts whose tokens are to be renewed now, the most urgent first."""
    return list(
        connection.execute(
            _ENDING_SOON,
            {
                "platforms": [platform.value for platform in RENEWED_AT_REST],
                "aheads": [RENEW_AHEAD[platform] for platform in RENEWED_AT_REST],
                "old_enough": OLD_ENOUGH,
                "most": MOST_AT_ONCE,
            },
        ).scalars()
    )
