"""Rows that were left out when their account was reconnected are due, or wait for their id as before."""

from alembic import op

revision = "0060"
down_revision = "0050"

REPAIR = """
WITH stuck AS (
    SELECT r.publication_id, COALESCE(p.platform_post_id, p.publish_id) IS NOT NULL AS askable
      FROM refresh_state r
      JOIN accounts a ON a.account_id = r.account_id
      JOIN publications p ON p.id = r.publication_id
      JOIN post_analytics s ON s.publication_id = r.publication_id
     WHERE a.state = 'active' AND r.next_run_at IS NULL
       AND (r.reason = 'blocked' OR (r.reason = 'stopped' AND s.sync_status = 'requires_reconnect'))
     ORDER BY r.publication_id
       FOR KEY SHARE OF a FOR UPDATE OF r
), repaired AS (
    UPDATE refresh_state AS r
       SET next_run_at = CASE WHEN stuck.askable THEN now() END,
           reason = CASE WHEN stuck.askable THEN 'reconnected' ELSE 'stopped' END,
           claimed_at = NULL, claim_seq = r.claim_seq + 1, attempts = 0, unfinished = 0
      FROM stuck WHERE r.publication_id = stuck.publication_id
    RETURNING r.publication_id, stuck.askable
)
UPDATE post_analytics AS s
   SET sync_status = 'pending', error_message = NULL, attempted_at = NULL, outcome = NULL,
       outcome_detail = NULL
  FROM repaired WHERE s.publication_id = repaired.publication_id AND NOT repaired.askable
"""


def upgrade() -> None:
    """Repair the rows; none are there in a new database."""
    op.execute(REPAIR)
