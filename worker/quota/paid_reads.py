"""A job's post reads at X, which cost money: set aside before its calls, settled with its outcomes."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine

from shared.quota import pauses, spending
from shared.quota.spending import Caps, Held, Shortage
from shared.settings import Settings
from shared.vocabulary import Platform
from worker.claims import StartedRow
from worker.outcomes import Outcome


def hold(
    engine: Engine, settings: Settings, platform: Platform, rows: Iterable[StartedRow], now: datetime
) -> Held | Shortage | None:
    """Set the job's reads aside; ``None`` when they cost nothing.

    A spent budget pauses the platform for the whole fleet until it renews itself.
    """
    reads = spending.unread([row.last_updated_at for row in rows], now) if platform is Platform.X else 0
    if not reads:
        return None
    with engine.begin() as connection:
        held = spending.hold(connection, reads, Caps.of(settings))
        if isinstance(held, Shortage) and held.spent:
            pauses.pause(
                connection,
                platform=spending.PAUSE.platform,
                kind=spending.PAUSE.kind,
                subject=spending.PAUSE.subject,
                until=held.until,
                reason=held.sentence,
            )
    return held


def settle(connection: Connection, held: Held, kept: Sequence[Outcome], now: datetime) -> None:
    """Count the reads that brought numbers; one that a newer claim fenced out is counted by that claim."""
    billed = spending.unread([one.row.last_updated_at for one in kept if one.completed], now)
    spending.settle(connection, held, billed)
