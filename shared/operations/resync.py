"""A manual re-sync of one publication."""

from typing import Final

from sqlalchemy import Connection, text

from shared.operations import audit_log
from shared.operations.audit_log import Operator
from shared.operations.selection import REFRESHABLE
from shared.refresh_state.make_due import make_due
from shared.vocabulary import Reason

_ONE: Final = text(f"""
SELECT a.workspace_id, {REFRESHABLE} AS refreshable
  FROM refresh_state r
  JOIN publications p ON p.id = r.publication_id
  JOIN accounts a ON a.account_id = r.account_id
 WHERE r.publication_id = :id
""")


def resync_one(connection: Connection, operator: Operator, publication_id: int) -> bool:
    """Make one publication due now and return whether it can be refreshed; record it either way."""
    row = connection.execute(_ONE, {"id": publication_id}).one_or_none()
    if row is None:
        return False
    make_due(connection, row.workspace_id, [publication_id], Reason.MANUAL)
    subject = {"publications": [publication_id]}
    audit_log.record(connection, operator, "resync", subject, rows=int(row.refreshable))
    return bool(row.refreshable)
