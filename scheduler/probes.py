"""Probes: while the background work of a budget is paused, one row at intervals reads how much of it is left.

Meta reports the used share of a limit only in its answers: without an answer a pause would last as long as
was estimated when it began. The row goes through the interactive lane, which such a pause does not hold up;
its answer shortens, ends or extends the pause for the whole fleet.
"""

from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy import Connection, text

from shared.quota.pauses import NOT_PAUSED
from shared.redis_client import RedisClient
from shared.refresh_state.make_due import promote_one
from shared.vocabulary import PauseKind

PROBE_EVERY: Final = timedelta(minutes=5)
"""The least time between two probes of a budget, in the whole fleet."""

_PAUSED_BUDGETS = text("""
SELECT platform, subject FROM pauses
 WHERE kind = :kind AND paused_until > now() AND paused_at <= now() - CAST(:every AS interval)
 ORDER BY platform, subject
""")
_log = structlog.get_logger(__name__)


def probe(connection: Connection, client: RedisClient) -> int:
    """Move one due row of each paused budget to the interactive lane; return how many rows.

    Any number of schedulers may call this: Redis holds which budgets were probed recently. Raises
    `redis.RedisError`.
    """
    probed = 0
    budgets = connection.execute(
        _PAUSED_BUDGETS, {"kind": PauseKind.BACKGROUND.value, "every": PROBE_EVERY}
    ).all()
    for platform, subject in budgets:
        if not client.set(f"dravo:probe:{platform}:{subject}", 1, nx=True, px=PROBE_EVERY):
            continue
        account_id = promote_one(connection, platform, subject, only_if=NOT_PAUSED)
        if account_id is not None:
            probed += 1
            _log.info("budget_probed", platform=platform, account_id=account_id)
    return probed
