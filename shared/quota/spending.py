"""Money spent on post reads at X, the one platform that charges, and the budgets that limit it.

X is pay-per-use: it bills a price per post read, each post once a UTC day and failed reads never, and it caps
the reads of a month: https://docs.x.com/x-api/getting-started/pricing. A job reserves the reads that it may
cause before it calls X and settles the reservation afterwards, so that concurrent jobs can never overdraw a
budget together. The reservation of a killed worker counts until the UTC day ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, text

from shared.quota.pauses import PauseKey, end
from shared.settings import Settings
from shared.vocabulary import PauseKind, Platform

BILLABLE_TODAY = """
(pa.last_updated_at IS NULL
 OR pa.last_updated_at < date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC')
"""
"""Condition on a ``post_analytics pa``: its next read is billed; a second read on the same UTC day is not."""

PAUSE = PauseKey(Platform.X.value, PauseKind.APP, "budget")
"""The pause that a spent budget places."""

UNSETTLED_WAIT = timedelta(seconds=30)
"""How long a job waits while other jobs' reservations, which may not be billed, fill the budget."""

_UNLIMITED = 2**62
_PARAMETERS = {"platform": Platform.X.value}

_TOTALS = """
SELECT d.day, now() AS now, d.day + 1 AS next_day,
       CAST(date_trunc('month', d.day) + interval '1 month' AS date) AS next_month,
       COALESCE(sum(r.reads) FILTER (WHERE r.day = d.day), 0) AS read_today,
       COALESCE(sum(r.reserved) FILTER (WHERE r.day = d.day), 0) AS reserved_today,
       COALESCE(sum(r.reads), 0) AS read_this_month
  FROM (SELECT CAST(now() AT TIME ZONE 'UTC' AS date) AS day) d
  LEFT JOIN post_reads r
    ON r.platform = :platform AND r.day BETWEEN CAST(date_trunc('month', d.day) AS date) AND d.day
 GROUP BY d.day
"""
_RESERVE = f"""
WITH totals AS ({_TOTALS})
INSERT INTO post_reads AS r (platform, day, reserved)
SELECT :platform, day, :reads FROM totals WHERE :reads <= :per_day AND read_this_month + :reads <= :per_month
ON CONFLICT (platform, day) DO UPDATE SET reserved = r.reserved + excluded.reserved
 WHERE r.reads + r.reserved + excluded.reserved <= :per_day
   AND (SELECT read_this_month - read_today FROM totals) + r.reads + r.reserved + excluded.reserved
       <= :per_month
RETURNING day
"""
_SETTLE = """
UPDATE post_reads SET reserved = GREATEST(reserved - :reserved, 0), reads = reads + :billed
 WHERE platform = :platform AND day = :day
"""


@dataclass(frozen=True, slots=True)
class Caps:
    """The most post reads that may be made, with budgets in dollars converted into reads."""

    per_day: int
    per_month: int

    @classmethod
    def of(cls, settings: Settings) -> "Caps":
        """Return what the settings allow."""
        month = _reads(settings.x_monthly_budget_dollars, settings)
        return cls(_reads(settings.x_daily_budget_dollars, settings), min(month, settings.x_monthly_reads))


@dataclass(frozen=True, slots=True)
class BilledReads:
    """The post reads that X has billed so far, by UTC day and month."""

    today: int
    this_month: int


@dataclass(frozen=True, slots=True)
class Reservation:
    """The reads that a job may cause, subtracted from the budget before the job calls X."""

    day: date
    reads: int


@dataclass(frozen=True, slots=True)
class BudgetExhausted:
    """A budget has too few reads left for a job."""

    until: datetime
    sentence: str
    spent: bool = True
    """Whether the budget is spent; else only other jobs' unsettled reservations fill it."""


def dollars(reads: int, settings: Settings) -> float:
    """Return what so many billed post reads cost."""
    return round(reads * settings.x_dollars_per_read, 3)


def billed_reads(connection: Connection) -> BilledReads:
    """Return the reads billed today and this month."""
    row = connection.execute(text(_TOTALS), _PARAMETERS).one()
    return BilledReads(int(row.read_today), int(row.read_this_month))


def reserve(connection: Connection, reads: int, caps: Caps) -> Reservation | BudgetExhausted:
    """Reserve reads, or return which budget is exhausted. Locks the day's row: commit soon."""
    limits = {"reads": reads, "per_day": caps.per_day, "per_month": caps.per_month}
    day = connection.execute(text(_RESERVE), {**_PARAMETERS, **limits}).scalar()
    if day is not None:
        return Reservation(day, reads)
    row = connection.execute(text(_TOTALS), _PARAMETERS).one()
    if row.read_this_month + reads > caps.per_month:
        return BudgetExhausted(
            _midnight(row.next_month, row.now), "This month's budget for reads at X is spent."
        )
    if row.read_today + reads > caps.per_day:
        return BudgetExhausted(_midnight(row.next_day, row.now), "Today's budget for reads at X is spent.")
    sentence = "What is left of the budget for reads at X is reserved by reads under way."
    return BudgetExhausted(row.now + UNSETTLED_WAIT, sentence, spent=False)


def settle(connection: Connection, reservation: Reservation, billed: int) -> None:
    """Release a reservation and count the reads that were billed."""
    parameters = {
        **_PARAMETERS,
        "day": reservation.day,
        "reserved": reservation.reads,
        "billed": billed,
    }
    connection.execute(text(_SETTLE), parameters)


def count_billable(last_updated_ats: Sequence[datetime | None], now: datetime) -> int:
    """Count the posts whose read would be their first on the UTC day of ``now``."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return sum(at is None or at < today for at in last_updated_ats)


def lift_pause_after_budget_increase(connection: Connection, caps: Caps) -> bool:
    """Lift the pause of a spent budget if the budget has been raised since; return whether one stood."""
    billed = billed_reads(connection)
    if billed.today >= caps.per_day or billed.this_month >= caps.per_month:
        return False
    return bool(end(connection, [PAUSE]))


def _reads(budget: float | None, settings: Settings) -> int:
    if budget is None or not settings.x_dollars_per_read:
        return _UNLIMITED
    return int(round(budget / settings.x_dollars_per_read, 6))


def _midnight(day: date, now: datetime) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=now.tzinfo)
