"""Transitions of ingestion: ``insert`` of new publications, ``id_arrived`` when the platform's id is known.

The caller holds the accounts ``FOR KEY SHARE`` (`shared.accounts.states`), so their states stay meanwhile.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, text

from shared.refresh_state.start import Claim

_INSERT: Final = text("""
WITH added AS (
INSERT INTO refresh_state (publication_id, account_id, next_run_at, priority, reason)
SELECT n.id, n.account_id, CASE WHEN n.has_id AND n.state = 'active' THEN now() END, :priority,
       CASE WHEN n.state <> 'active' THEN 'blocked' WHEN n.has_id THEN 'new' ELSE 'stopped' END
  FROM (SELECT p.id, p.account_id, a.state, COALESCE(p.platform_post_id, p.publish_id) IS NOT NULL AS has_id
          FROM publications p JOIN accounts a USING (account_id)
         WHERE p.id = ANY(:ids)) n
 ORDER BY n.id
RETURNING next_run_at)
SELECT count(next_run_at) > 0 FROM added
""")

# A worker that has the row asks by what was known before: its claim ends, and the row is fetched by its id.
_ID_ARRIVED: Final = text("""
UPDATE refresh_state AS r
   SET next_run_at = CASE a.state WHEN 'active' THEN now() END,
       reason = CASE a.state WHEN 'active' THEN 'new' ELSE 'blocked' END,
       priority = GREATEST(r.priority, :priority), attempts = 0, unfinished = 0, missing_since = NULL,
       claimed_at = NULL, claim_seq = r.claim_seq + 1
  FROM accounts a
 WHERE a.account_id = r.account_id AND r.publication_id = ANY(:ids) AND r.reason <> 'quarantined'
RETURNING r.next_run_at IS NOT NULL AS due
""")

_LOCK: Final = text("""
SELECT publication_id, claim_seq FROM refresh_state
 WHERE publication_id = ANY(:ids) ORDER BY publication_id FOR UPDATE
""")


def insert(connection: Connection, publication_ids: Sequence[int], priority: int) -> bool:
    """Insert the rows of new publications; return whether any is due.

    A publication without an id at its platform waits for it (``stopped``); one whose account may not be read
    is ``blocked``.
    """
    bound = {"ids": list(publication_ids), "priority": priority}
    return bool(connection.execute(_INSERT, bound).scalar_one())


def lock(connection: Connection, publication_ids: Sequence[int]) -> list[Claim]:
    """Lock these rows until the transaction ends, before their publications are written.

    Return their claims, whether they are open or not.
    """
    locked = connection.execute(_LOCK, {"ids": list(publication_ids)})
    return [(row.publication_id, row.claim_seq) for row in locked]


def id_arrived(connection: Connection, publication_ids: Sequence[int], priority: int) -> bool:
    """Make publications due whose id at their platform became known; return whether any is due.

    The caller has locked the rows (`lock`) and stored the ids. A worker that has such a row loses it.
    """
    bound = {"ids": list(publication_ids), "priority": priority}
    return any(row.due for row in connection.execute(_ID_ARRIVED, bound).all())
