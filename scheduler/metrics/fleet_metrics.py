"""Fleet metrics: read from the stores every few seconds and exported by every scheduler.

Each query has its own time limit and fails alone: its former samples are exported for a while, then none.
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

from scheduler.metrics import gauges
from scheduler.metrics.gauges import Sample
from shared.observability.metrics import FLEET_GAUGES, FLEET_READ
from shared.redis_client import RedisClient

READ_EVERY = timedelta(seconds=10)
"""How often the stores are read: within any usual scrape interval."""

READ_RARELY_EVERY = timedelta(minutes=5)
"""How often the costlier queries run."""

EXPORTED_FOR = timedelta(seconds=60)
"""How long a sample is exported after it was read; then its value counts as unknown."""

TIME_LIMIT = timedelta(seconds=5)
"""For each statement, so that reading metrics never becomes a load."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Result:
    """The latest samples of one query, and when they were read; ``failed``: the latest attempt read none."""

    samples: tuple[Sample, ...]
    read_at: float
    failed: bool
    attempted_at: float


class FleetMetrics:
    """A collector for `prometheus_client`: a scrape exports the latest samples and queries no store."""

    def __init__(self, engine: Engine, client: RedisClient) -> None:
        self._engine = engine
        self._client = client
        self._results: dict[str, _Result] = {}
        self._lock = threading.Lock()

    def read(self) -> None:
        """Query both stores; where one does not answer, the former samples stay until they are too old."""
        self._store(gauges.queue.__name__, lambda: list(gauges.queue(self._client)))
        for query in gauges.FROM_DATABASE:
            self._store(query.__name__, partial(self._from_database, query))
        for query in gauges.FROM_DATABASE_RARELY:
            before = self._results.get(query.__name__)
            if before is None or time.monotonic() - before.attempted_at >= READ_RARELY_EVERY.total_seconds():
                self._store(query.__name__, partial(self._from_database, query))

    def _from_database(self, query: Callable[[Connection], Iterator[Sample]]) -> list[Sample]:
        with self._engine.begin() as connection:
            limit = int(TIME_LIMIT.total_seconds() * 1000)
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = {limit}")
            return list(query(connection))

    def _store(self, name: str, query: Callable[[], list[Sample]]) -> None:
        now = time.monotonic()
        before = self._results.get(name, _Result((), now, failed=True, attempted_at=now))
        try:
            result = _Result(tuple(query()), time.monotonic(), failed=False, attempted_at=now)
        except (redis.RedisError, SQLAlchemyError) as error:  # whatever it is, the other queries go on
            _log.warning("fleet_metrics_not_read", read=name, detail=type(error).__name__)
            result = _Result(before.samples, before.read_at, failed=True, attempted_at=now)
        with self._lock:
            self._results[name] = result

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Return the families without values: registering a collector must not query the stores."""
        return [gauge.family() for gauge in FLEET_GAUGES]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauges with every sample that is recent enough to count as known."""
        families = {gauge: gauge.family() for gauge in FLEET_GAUGES}
        with self._lock:
            results = dict(self._results)
        now = time.monotonic()
        for name, result in results.items():
            families[FLEET_READ].add_metric((name,), 0 if result.failed else 1)
            known = now - result.read_at <= _exported_for(name).total_seconds()
            for gauge, labels, value in result.samples if known else ():
                families[gauge].add_metric(labels, value)
        yield from families.values()


def _exported_for(name: str) -> timedelta:
    rarely = any(query.__name__ == name for query in gauges.FROM_DATABASE_RARELY)
    return EXPORTED_FOR + READ_RARELY_EVERY if rarely else EXPORTED_FOR
