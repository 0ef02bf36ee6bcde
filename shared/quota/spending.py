"""What reading posts at X costs, and how much of it may be spent: the one platform that charges.

Pay-per-use: a price per post read, each post once a UTC day, failed reads free, and a cap on the reads of a
month: https://docs.x.com/x-api/getting-started/pricing. A job holds the reads that it may cause before it
calls and settles them afterwards, so that jobs under way at once can never overdraw a budget together. What a
killed worker held stays held until the UTC day ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, text

from shared.quota.pauses import PauseKey, end
from shared.settings import Settings
from shared.vocabulary import PauseKind, Platform

UNREAD_TODAY = """
(pa.last_updated_at IS NULL
 OR pa.last_updated_at < date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC')
"""
"""Condition on a ``post_analytics pa``: its next read costs something; a second one on a UTC day does not."""

PAUSE = PauseKey(Platform.X.value, PauseKind.APP, "budget")
"""The pause that a spent budget places."""

UNSETTLED_WAIT = timedelta(seconds=30)
"""How long to wait for reads that are held and may turn out not to be billed."""

_MOST = 2**62
_PARAMETERS = {"platform": Platform.X.value}

_TOTALS = """
SELECT d.day, now() AS now, d.day + 1 AS next_day,
       CAST(date_trunc('month', d.day) + interval '1 month' AS date) AS next_month,
       COALESCE(sum(r.reads) FILTER (WHERE r.day = d.day), 0) AS read_today,
       COALESCE(sum(r.held) FILTER (WHERE r.day = d.day), 0) AS held_today,
       COALESCE(sum(r.reads), 0) AS read_this_month
  FROM (SELECT CAST(now() AT TIME ZONE 'UTC' AS date) AS day) d
  LEFT JOIN post_reads r
    ON r.platform = :platform AND r.day BETWEEN CAST(date_trunc('month', d.day) AS date) AND d.day
 GROUP BY d.day
"""
_HOLD = f"""
WITH totals AS ({_TOTALS})
INSERT INTO post_reads AS r (platform, day, held)
SELECT :platform, day, :reads FROM totals WHERE :reads <= :per_day AND read_this_month + :reads <= :per_month
ON CONFLICT (platform, day) DO UPDATE SET held = r.held + excluded.held
 WHERE r.reads + r.held + excluded.held <= :per_day
   AND (SELECT read_this_month - read_today FROM totals) + r.reads + r.held + excluded.held <= :per_month
RETURNING day
"""  # noqa: S608 - the totals are a constant of ours
_SETTLE = """
UPDATE post_reads SET held = GREATEST(held - :held, 0), reads = reads + :billed
 WHERE platform = :platform AND day = :day
"""


@dataclass(frozen=True, slots=True)
class Caps:
    """How many post reads may be made; budgets in dollars, turned into reads."""

    per_day: int
    per_month: int

    @classmethod
    def of(cls, settings: Settings) -> "Caps":
        """Return what the settings allow."""
        month = _reads(settings.x_monthly_budget_dollars, settings)
        return cls(_reads(settings.x_daily_budget_dollars, settings), min(month, settings.x_monthly_reads))


@dataclass(frozen=True, slots=True)
class Spent:
    """The post reads that were billed so far, by UTC."""

    today: int
    this_month: int


@dataclass(frozen=True, slots=True)
class Held:
    """Reads that a job may cause, set aside for it."""

    day: date
    reads: int


@dataclass(frozen=True, slots=True)
class Shortage:
    """A budget that does not hold a job's reads."""

    until: datetime
    sentence: str
    spent: bool = True
    """The budget is spent; else only other jobs' unsettled reads stand in the way."""


def dollars(reads: int, settings: Settings) -> float:
    """Return what so many billed post reads cost."""
    return round(reads * settings.x_dollars_per_read, 3)


def spent(connection: Connection) -> Spent:
    """Return what was read so far."""
    row = connection.execute(text(_TOTALS), _PARAMETERS).one()
    return Spent(int(row.read_today), int(row.read_this_month))


def hold(connection: Connection, reads: int, caps: Caps) -> Held | Shortage:
    """Set reads aside, or tell which budget lacks them. Locks the day's row: commit soon."""
    limits = {"reads": reads, "per_day": caps.per_day, "per_month": caps.per_month}
    day = connection.execute(text(_HOLD), {**_PARAMETERS, **limits}).scalar()
    if day is not None:
        return Held(day, reads)
    row = connection.execute(text(_TOTALS), _PARAMETERS).one()
    if row.read_this_month + reads > caps.per_month:
        return Shortage(_midnight(row.next_month, row.now), "This month's budget for reads at X is spent.")
    if row.read_today + reads > caps.per_day:
        return Shortage(_midnight(row.next_day, row.now), "Today's budget for reads at X is spent.")
    sentence = "What is left of the budget for reads at X is held by reads under way."
    return Shortage(row.now + UNSETTLED_WAIT, sentence, spent=False)


def settle(connection: Connection, held: Held, billed: int) -> None:
    """Give back what was held and count what was billed."""
    parameters = {**_PARAMETERS, "day": held.day, "held": held.reads, "billed": billed}
    connection.execute(text(_SETTLE), parameters)


def unread(last_updated_ats: Sequence[datetime | None], now: datetime) -> int:
    """Count the reads that are new on the UTC day of ``now``."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return sum(at is None or at < today for at in last_updated_ats)


def lift_outgrown_pause(connection: Connection, caps: Caps) -> bool:
    """Lift the pause of a spent budget if a larger one was set since; return whether there was one."""
    so_far = spent(connection)
    if so_far.today >= caps.per_day or so_far.this_month >= caps.per_month:
        return False
    return bool(end(connection, [PAUSE]))


def _reads(budget: float | None, settings: Settings) -> int:
    if budget is None or not settings.x_dollars_per_read:
        return _MOST
    return int(round(budget / settings.x_dollars_per_read, 6))


def _midnight(day: date, now: datetime) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=now.tzinfo)
