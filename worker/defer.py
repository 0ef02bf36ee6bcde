"""Pauses as a job leaves them behind: placed where claims see them, and the rows that wait for their end.

What is placed is committed before any row is written, so a transaction never holds a pause that another one
wants while it waits for rows, and all take pauses in one order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import Connection, Engine

from shared import pauses
from shared.pauses import PauseKey
from shared.vocabulary import BucketKind, PauseKind
from worker.budget_gate import NewPause, OverBudget
from worker.errors import Paused
from worker.readings import Account

LONGEST_BY_OPERATOR: Final = timedelta(hours=1)
"""A row that an operator's pause holds up is looked at again after that: such a pause may have no end."""
LONGEST_BY_BUDGET: Final = timedelta(minutes=15)
"""The same for a budget in Redis: nothing there makes rows due when it is given free early."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Placing:
    key: PauseKey
    until: datetime
    reason: str


def place(
    engine: Engine, account: Account, refusal: Paused | None, found: Sequence[NewPause]
) -> OverBudget | None:
    """Place the pause of a refusal and those that the budgets found; return what stands of the refusal."""
    platform = account.platform.value
    placing = [_Placing(PauseKey(platform, one.kind, one.subject), one.until, one.reason) for one in found]
    if refusal is not None:
        key = PauseKey(platform, PauseKind(refusal.kind.value), _subject(account, refusal))
        placing.append(_Placing(key, refusal.until, str(refusal)))
    if not placing:
        return None
    with engine.begin() as connection:
        ends = {one.key: _placed(connection, one) for one in sorted(placing, key=lambda one: one.key)}
    if refusal is None:
        return None
    if refusal.operator_alert:
        _log.error("operator_needed", platform=platform, detail=str(refusal))
    return OverBudget(str(refusal), kind=refusal.kind, endpoint=refusal.endpoint, until=ends[key], pause=key)


def _subject(account: Account, refusal: Paused) -> str:
    if refusal.kind is BucketKind.APP:
        return ""
    return account.account_id if refusal.kind is BucketKind.ACCOUNT else refusal.endpoint or ""


def _placed(connection: Connection, one: _Placing) -> datetime:
    ends = pauses.pause(
        connection,
        platform=one.key.platform,
        kind=one.key.kind,
        subject=one.key.subject,
        until=one.until,
        reason=one.reason,
    )
    _log.warning(
        "paused",
        platform=one.key.platform,
        kind=one.key.kind.value,
        subject=one.key.subject,
        detail=one.reason,
    )
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
