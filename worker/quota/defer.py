"""The pauses that a job writes to PostgreSQL, and how long its rows are deferred by a pause.

Pauses are committed before any row is written, so no transaction locks a pause while it waits for rows. All
transactions lock pauses in one order.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import Connection, Engine

from shared.quota import pauses
from shared.quota.pauses import PauseKey
from worker.errors import Paused, RefreshError
from worker.quota.pause import Deferred, NewPause, pause_of
from worker.readings import Account

LONGEST_BY_OPERATOR: Final = timedelta(hours=1)
"""The longest deferral of a row by an operator's pause: such a pause may have no end."""
LONGEST_BY_BUDGET: Final = timedelta(minutes=15)
"""The longest deferral by a budget in Redis, because a budget that recovers early makes no row due."""

_log = structlog.get_logger(__name__)


def place(
    engine: Engine, account: Account, error: RefreshError | None, required: Sequence[NewPause]
) -> RefreshError | None:
    """Place the pause of a refusal and those that the platform's answers require, in one transaction.

    Return the error of the job: a refusal as the pause that stands now, any other error as it is.
    """
    platform = account.platform.value
    placing = {PauseKey(platform, new.kind, new.subject): new for new in required}
    refusal = error if isinstance(error, Paused) and not isinstance(error, Deferred) else None
    if refusal is not None:
        new = pause_of(account.account_id, refusal)
        refused = PauseKey(platform, new.kind, new.subject)
        placing[refused] = new
    if not placing:
        return error
    with engine.begin() as connection:
        ends = {key: _placed(connection, key, placing[key]) for key in sorted(placing)}
    if refusal is None:
        return error
    return Deferred(
        str(refusal),
        kind=refusal.kind,
        endpoint=refusal.endpoint,
        until=ends[refused] or refusal.until,
        pause=refused,
    )


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
    log = _log.bind(platform=key.platform, kind=key.kind.value, subject=key.subject, detail=new.reason)
    if key.kind.needs_operator:
        log.error("operator_needed")
    else:
        log.warning("paused")
    return ends


def bounded(connection: Connection, error: Deferred, now: datetime) -> Deferred:
    """Return the error with the instant to which rows are deferred: now, if its pause has ended meanwhile.

    The pause is locked until the transaction ends, so whoever ends the pause sees the deferred rows.
    """
    if error.pause is None:
        until = min(error.until, now + LONGEST_BY_BUDGET)
    else:
        ends = pauses.lock_if_in_force(connection, error.pause) or now
        if error.pause.kind.by_operator:
            ends = min(ends, now + LONGEST_BY_OPERATOR)
        until = min(error.until, ends)
    return Deferred(
        str(error), kind=error.kind, endpoint=error.endpoint, until=max(until, now), pause=error.pause
    )
