"""Pauses as a job leaves them behind: placed where claims see them, and the rows that wait for their end.

What is placed is committed before any row is written, so a transaction never holds a pause that another one
wants while it waits for rows, and all take pauses in one order.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import Connection, Engine

from shared.quota import pauses
from shared.quota.pauses import PauseKey
from worker.errors import Paused
from worker.quota.gate import NewPause, OverBudget, pause_of
from worker.readings import Account

LONGEST_BY_OPERATOR: Final = timedelta(hours=1)
"""A row that an operator's pause holds up is looked at again after that: such a pause may have no end."""
LONGEST_BY_BUDGET: Final = timedelta(minutes=15)
"""The same for a budget in Redis: nothing there makes rows due when it is given free early."""

_log = structlog.get_logger(__name__)


def place(
    engine: Engine, account: Account, refusal: Paused | None, found: Sequence[NewPause]
) -> OverBudget | None:
    """Place the pause of a refusal and those that the budgets found; return what stands of the refusal."""
    platform = account.platform.value
    placing = {PauseKey(platform, new.kind, new.subject): new for new in found}
    if refusal is not None:
        new = pause_of(account.account_id, refusal)
        key = PauseKey(platform, new.kind, new.subject)
        placing[key] = new
    if not placing:
        return None
    with engine.begin() as connection:
        ends = {key: _placed(connection, key, placing[key]) for key in sorted(placing)}
    if refusal is None or (until := ends[key]) is None:
        return None
    if refusal.operator_alert:
        _log.error("operator_needed", platform=platform, detail=str(refusal))
    return OverBudget(str(refusal), kind=refusal.kind, endpoint=refusal.endpoint, until=until, pause=key)


def _placed(connection: Connection, key: PauseKey, new: NewPause) -> datetime | None:
    if new.until is None:
        if pauses.end(connection, [key]):
            _log.info("pause_ended", platform=key.platform, kind=key.kind.value, subject=key.subject)
        return None
    if key.kind.background_only:
        pauses.shorten(connection, key, new.until)
    ends = pauses.pause(
        connection,
        platform=key.platform,
        kind=key.kind,
        subject=key.subject,
        until=new.until,
        reason=new.reason,
    )
    _log.warning("paused", platform=key.platform, kind=key.kind.value, subject=key.subject, detail=new.reason)
    return ends


def deferred(connection: Connection, error: OverBudget, now: datetime) -> OverBudget:
    """Return the error with the instant until which rows may wait for it, which is now if the pause is over.

    The pause is held until the transaction ends: whoever ends it sees the rows that waited for it.
    """
    if error.pause is None:
        until = min(error.until, now + LONGEST_BY_BUDGET)
    else:
        ends = pauses.hold(connection, error.pause) or now
        if error.pause.kind.by_operator:
            ends = min(ends, now + LONGEST_BY_OPERATOR)
        until = min(error.until, ends)
    return OverBudget(
        str(error), kind=error.kind, endpoint=error.endpoint, until=max(until, now), pause=error.pause
    )
