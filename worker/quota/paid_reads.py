"""A job's post reads at X, which cost money: reserved before its calls, settled with its outcomes."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine

from shared.quota import pauses, spending
from shared.quota.spending import BudgetExhausted, Caps, Reservation
from shared.settings import Settings
from shared.vocabulary import Platform
from worker.claims import StartedRow
from worker.outcomes.outcome import Outcome


def reserve(
    engine: Engine, settings: Settings, platform: Platform, rows: Iterable[StartedRow], now: datetime
) -> Reservation | BudgetExhausted | None:
    """Reserve the job's reads; ``None`` when they cost nothing.

    An exhausted budget pauses the platform for the whole fleet until the next period begins.
    """
    reads = (
        spending.count_billable([row.last_updated_at for row in rows], now) if platform is Platform.X else 0
    )
    if not reads:
        return None
    with engine.begin() as connection:
        reservation = spending.reserve(connection, reads, Caps.of(settings))
        if isinstance(reservation, BudgetExhausted) and reservation.spent:
            pauses.pause(
                connection,
                platform=spending.PAUSE.platform,
                kind=spending.PAUSE.kind,
                subject=spending.PAUSE.subject,
                until=reservation.until,
                reason=reservation.sentence,
            )
    return reservation


def settle(
    connection: Connection, reservation: Reservation, recorded: Sequence[Outcome], now: datetime
) -> None:
    """Count the reads that brought numbers; where a newer claim exists, that claim counts the read."""
    billed = spending.count_billable([one.row.last_updated_at for one in recorded if one.completed], now)
    spending.settle(connection, reservation, billed)
