"""Release of publications from quarantine by an operator."""

from collections.abc import Sequence

from sqlalchemy import Connection

from shared.accounts import states
from shared.operations import audit_log
from shared.operations.audit_log import Operator
from shared.refresh_state.unquarantine import accounts_of_quarantined, unquarantine


def release_from_quarantine(
    connection: Connection, operator: Operator, publication_ids: Sequence[int] | None
) -> list[int]:
    """Make quarantined publications (``None``: all) due with no attempts counted; return their ids."""
    ids = None if publication_ids is None else sorted(set(publication_ids))
    states.lock_shared(connection, accounts_of_quarantined(connection, ids))
    released = unquarantine(connection, ids, unreadable=states.UNREADABLE)
    if released:
        subject = {"all": "all"} if ids is None else {"publications": released}
        audit_log.record(connection, operator, "release", subject, rows=len(released))
    return released
