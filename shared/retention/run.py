"""Runs retention, one step after another: a run removes at most one month, and blocks no reader.

Any number of processes run it; an advisory lock lets one work. Every lock is waited for at most two
seconds, because a session that waits for a lock makes later readers wait behind it. What waits is left to the
next run, and keeps nothing else from being removed. Only the owner of the tables may run it (`may_run`): a
month that another role could detach by a function could not be detached concurrently, because a function runs
in a transaction.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from shared.observability import failpoints
from shared.retention import months
from shared.retention.expiry import Unit, units
from shared.retention.months import Month
from shared.retention.policy import DataClass, Retention
from shared.retention.roll_up import is_rolled_up, roll_up

T = TypeVar("T")
LOCK_SECONDS: Final = 2
_RESTS: Final = 2.0  # times as long as a step took: a third of one connection's time is used
_RUN_LOCK: Final = 7_205_719_341
_TABLES: Final = ((months.READINGS, DataClass.READINGS), (months.DAILY, DataClass.DAILY))
_SAVE: Final = text("""
INSERT INTO retention_runs (unit, month, ended_at) VALUES (:unit, :month, :ended_at)
ON CONFLICT (unit) DO UPDATE SET month = excluded.month, ended_at = excluded.ended_at
""")
_DETACHED: Final = text("SELECT month FROM retention_runs WHERE unit = :unit AND ended_at IS NULL")
_IS_OWNER: Final = text("""
SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = CAST('snapshots' AS regclass)
""")
_ENDED_AT: Final = text("SELECT ended_at FROM retention_runs WHERE unit = :unit")


@dataclass(frozen=True, slots=True)
class Done:
    """What one step did."""

    what: str
    """``rolled_up``, ``detached``, ``detach_finished``, ``dropped``, ``default_removed`` or ``expired``."""
    subject: str
    """A partition, or the kind of rows."""
    rows: int
    again: bool
    """Whether the run continues: not after a month has gone."""


class WaitingError(Exception):
    """Another session holds a lock that a step needs, or it takes too long: the next run repeats it."""


def may_run(connection: Connection) -> bool:
    """Return whether this user has the rights of the tables' owner."""
    return bool(connection.execute(_IS_OWNER).scalar_one())


def rest_after(seconds: float) -> timedelta:
    """Return how long to rest after a step that took so long: refreshes and readers go on meanwhile."""
    return timedelta(seconds=seconds * _RESTS)


class Run:
    """One run: its steps follow one another until there is none, or a month is gone."""

    def __init__(self, engine: Engine, policy: Retention) -> None:
        self._engine = engine
        self._policy = policy
        self._waiting: dict[str, WaitingError] = {}

    def step(self) -> Done | None:
        """Do the next step; ``None``: nothing is due, or another process works.

        Raises `WaitingError` when all that is left waits.
        """
        with _locked(self._engine) as connection:
            if connection is None:
                return None
            for name, work in _work(connection, self._policy):
                if name not in self._waiting and (done := self._try(name, work)) is not None:
                    return done
        if self._waiting:
            raise next(iter(self._waiting.values()))
        return None

    def _try(self, name: str, work: Callable[[], Done | None]) -> Done | None:
        try:
            return work()
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) not in _TIMEOUTS:
                raise
            self._waiting[name] = WaitingError(str(error.orig).partition("\n")[0])
            return None


def step(engine: Engine, policy: Retention) -> Done | None:
    """Do the first step of a run of its own."""
    return Run(engine, policy).step()


def _work(connection: Connection, policy: Retention) -> Iterator[tuple[str, Callable[[], Done | None]]]:
    """Yield what may be due, by a name."""
    yield "months", partial(_month_step, connection, policy)
    for unit in units(policy):
        yield unit.name, partial(_expire, connection, unit)


_TIMEOUTS: Final = frozenset({"55P03", "57014"})  # lock_not_available, query_canceled


@contextmanager
def _locked(engine: Engine) -> Iterator[Connection | None]:
    """Yield a connection that commits each statement and holds the advisory lock, or ``None``."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"SET lock_timeout = '{LOCK_SECONDS}s'"))
        if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _RUN_LOCK}).scalar_one():
            yield None
            return
        try:
            yield connection
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _RUN_LOCK})


def _month_step(connection: Connection, policy: Retention) -> Done | None:
    now: datetime = connection.execute(text("SELECT now()")).scalar_one()
    for table, kind in _TABLES:
        all_months = months.months(connection, table)
        if done := _finish(connection, all_months):
            return done
        month = months.expired(all_months, policy.longest(kind), now)
        if month is None:
            continue
        if table == months.READINGS:
            if _in_transaction(connection, months.remove_default_partition):
                return Done("default_removed", "snapshots_default", 0, again=True)
            if not is_rolled_up(connection, month):
                _in_transaction(connection, partial(roll_up, month=month, policy=policy))
                failpoints.hit("rolled_up")
                return Done("rolled_up", month.name, 0, again=True)
        _note(connection, f"detach {table}", month)
        months.detach(connection, month)
        failpoints.hit("detached")
        return Done("detached", month.name, max(month.rows, 0), again=True)
    return None


def _finish(connection: Connection, all_months: list[Month]) -> Done | None:
    """Complete an interrupted detach, or drop the month that this run or one before has detached."""
    for month in all_months:
        if month.pending:
            months.finish_detach(connection, month)
            return Done("detach_finished", month.name, 0, again=True)
        if month.attached:
            continue
        noted = connection.execute(_DETACHED, {"unit": f"detach {month.table}"}).scalar()
        if noted == month.start:  # a table that somebody else has detached stays
            months.drop(connection, month)
            _note(connection, f"detach {month.table}", month, ended=True)
            return Done("dropped", month.name, max(month.rows, 0), again=False)
    return None


def _note(connection: Connection, unit: str, month: Month, *, ended: bool = False) -> None:
    ended_at = connection.execute(text("SELECT now()")).scalar_one() if ended else None
    connection.execute(_SAVE, {"unit": unit, "month": month.start, "ended_at": ended_at})


def _expire(connection: Connection, unit: Unit) -> Done | None:
    now: datetime = connection.execute(text("SELECT now()")).scalar_one()
    ended_at = connection.execute(_ENDED_AT, {"unit": unit.name}).scalar()
    if ended_at is not None and now - ended_at < unit.period:
        return None
    removed = _in_transaction(connection, partial(_run_unit, unit=unit, now=now))
    return Done("expired", unit.name, removed, again=True) if removed else None


def _run_unit(connection: Connection, unit: Unit, now: datetime) -> int:
    removed = unit.run(connection)
    if removed < unit.full:
        connection.execute(_SAVE, {"unit": unit.name, "month": None, "ended_at": now})
    return removed


def _in_transaction(connection: Connection, work: Callable[[Connection], T]) -> T:
    """Do several statements in one transaction, on another connection of the pool; it holds two at least."""
    with connection.engine.begin() as transaction:
        transaction.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
        return work(transaction)
