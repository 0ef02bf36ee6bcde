"""The fleet as the stores tell it: looked at every few seconds, exported by every scheduler.

Each look has its own time limit and fails alone: what it told before is exported for a while, then nothing.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import redis
import structlog
from prometheus_client.core import GaugeMetricFamily
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from scheduler import gauges
from scheduler.gauges import Value
from shared.observability.metrics import FLEET_GAUGES, FLEET_READ
from shared.redis_client import RedisClient

LOOK_EVERY = timedelta(seconds=10)
"""How often the stores are asked: within any usual scrape interval."""

LOOK_RARELY_EVERY = timedelta(minutes=5)
"""How often the costlier questions are asked."""

KEPT_FOR = timedelta(seconds=60)
"""How long a fact is exported after the look that told it; then it counts as unknown."""

TIME_LIMIT = timedelta(seconds=5)
"""For each statement: it is a look, and must not become a burden."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Told:
    """What one look told, and when; ``failed``: the latest try told nothing."""

    values: tuple[Value, ...]
    at: float
    failed: bool
    tried_at: float


class FleetView:
    """A collector for `prometheus_client`: a scrape shows the latest look and asks no store."""

    def __init__(self, engine: Engine, client: RedisClient) -> None:
        self._engine = engine
        self._client = client
        self._told: dict[str, _Told] = {}
        self._lock = threading.Lock()

    def look(self) -> None:
        """Ask both stores; what does not answer keeps its former facts until they are too old."""
        self._keep(gauges.queue.__name__, lambda: list(gauges.queue(self._client)))
        for ask in gauges.AT_DATABASE:
            self._keep(ask.__name__, partial(self._from_database, ask))
        for ask in gauges.AT_DATABASE_RARELY:
            before = self._told.get(ask.__name__)
            if before is None or time.monotonic() - before.tried_at >= LOOK_RARELY_EVERY.total_seconds():
                self._keep(ask.__name__, partial(self._from_database, ask))

    def _from_database(self, ask: Callable[[Connection], Iterator[Value]]) -> list[Value]:
        with self._engine.begin() as connection:
            limit = int(TIME_LIMIT.total_seconds() * 1000)
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = {limit}")
            return list(ask(connection))

    def _keep(self, name: str, ask: Callable[[], list[Value]]) -> None:
        now = time.monotonic()
        before = self._told.get(name, _Told((), now, failed=True, tried_at=now))
        try:
            told = _Told(tuple(ask()), time.monotonic(), failed=False, tried_at=now)
        except (redis.RedisError, SQLAlchemyError) as error:  # whatever it is, the other looks go on
            _log.warning("fleet_not_seen", read=name, detail=type(error).__name__)
            told = _Told(before.values, before.at, failed=True, tried_at=now)
        with self._lock:
            self._told[name] = told

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Return the families without values: registering must not ask for any."""
        return [fact.family() for fact in FLEET_GAUGES]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield every fact that is recent enough to be called known."""
        families = {fact: fact.family() for fact in FLEET_GAUGES}
        with self._lock:
            told = dict(self._told)
        now = time.monotonic()
        for name, look in told.items():
            families[FLEET_READ].add_metric((name,), 0 if look.failed else 1)
            for fact, labels, value in (
                look.values if now - look.at <= _kept_for(name).total_seconds() else ()
            ):
                families[fact].add_metric(labels, value)
        yield from families.values()


def _kept_for(name: str) -> timedelta:
    rarely = any(ask.__name__ == name for ask in gauges.AT_DATABASE_RARELY)
    return KEPT_FOR + LOOK_RARELY_EVERY if rarely else KEPT_FOR
