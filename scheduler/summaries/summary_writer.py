"""Maintains the fleet's summary and its history for the operators' page: one writer in the whole fleet.

Each scheduler has a writer; the one that holds an advisory lock writes, the others try again every few
seconds. Rows are counted slice by slice (`row_counter`); what is cheap to query (oldest overdue,
accounts, queues) is queried at every write. The API reads the summary and computes none of it.
"""

import contextlib
import json
import threading
import time
from dataclasses import astuple
from importlib.metadata import version
from typing import Any, Final

import redis
import structlog
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from scheduler.summaries.row_counter import RowCounter
from shared import refresh_queue
from shared.operations import fleet
from shared.operations.audit_log import record_deployment
from shared.redis_client import RedisClient
from shared.refresh_state.invariants import count_stuck
from shared.vocabulary import Lane

WRITE_SECONDS: Final = 2.0
"""Between two writes of the summary, and between two attempts to become the writer."""
HISTORY_SECONDS: Final = 60
STUCK_SECONDS: Final = 300
DELAYS_SECONDS: Final = 20
STATEMENT_SECONDS: Final = 5.0
"""Time limit of each statement; the writer's engine is made with it."""
_RESTS: Final = 6  # times as long as it worked: counting takes a seventh of one connection's time
_LOCK: Final = 7_205_719_330
"""Key of the advisory lock. Earlier versions write in the API under the same key."""
_MOST_QUARANTINED: Final = 10_000
_log = structlog.get_logger(__name__)

_WRITE: Final = text("""
INSERT INTO ops_summary AS s (part, payload, counted_from, counted_at)
VALUES (:part, CAST(:payload AS jsonb), COALESCE(:counted_from, now()), now())
ON CONFLICT (part) DO UPDATE
   SET payload = excluded.payload, counted_from = excluded.counted_from, counted_at = excluded.counted_at
""")
_HISTORY: Final = text("""
INSERT INTO ops_history (at, platform, polled, fresh, oldest_overdue_seconds, outcomes)
SELECT date_trunc('minute', now()), platform, polled, fresh, oldest, outcomes
  FROM jsonb_to_recordset(CAST(:points AS jsonb))
       AS p (platform text, polled bigint, fresh bigint, oldest float8, outcomes jsonb)
ON CONFLICT (at, platform) DO NOTHING
""")
_DELETE_OLD_HISTORY: Final = text("DELETE FROM ops_history WHERE at < now() - interval '8 days'")


class SummaryWriter:
    """Writes the summary in a thread of its own while this process holds the advisory lock."""

    def __init__(self, engine: Engine, client: RedisClient) -> None:
        self._engine = engine
        self._client = client
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="summary-writer", daemon=True)
        self.counter = RowCounter()
        self._live: dict[str, Any] = {}
        self._history_at = 0.0
        self._stuck, self._stuck_at = 0, 0.0
        self._delays: list[list[Any]] = []
        self._delays_at = 0.0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop, and wait for the statement that runs."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._engine.connect() as connection:
                    if _lock(connection):
                        self._write_until_stopped(connection)
            except SQLAlchemyError as error:  # whatever it is: the page shows how old the figures are
                _log.warning("summary_not_written", detail=type(error).__name__)
            self._stopping.wait(WRITE_SECONDS)

    def _write_until_stopped(self, connection: Connection) -> None:
        record_deployment(connection, version("dravo-analytics-sync"))
        connection.commit()
        self.counter = RowCounter()
        try:
            while not self._stopping.is_set():
                self.write(connection)
                self._count_until(connection, time.monotonic() + WRITE_SECONDS)
        finally:
            with contextlib.suppress(SQLAlchemyError):  # a lost connection has lost the lock as well
                connection.rollback()
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})
                connection.commit()

    def _count_until(self, connection: Connection, until: float) -> None:
        """Count slices, each followed by a rest, until then; a round that ends early waits until then."""
        while time.monotonic() < until:
            began = time.monotonic()
            ended = self.counter.step(connection)
            connection.rollback()  # a transaction a slice: none grows old
            rest = (time.monotonic() - began) * _RESTS
            if self._stopping.wait(max(0.0, until - time.monotonic()) if ended else rest):
                return

    def write(self, connection: Connection) -> None:
        """Query the live figures and write them with the row counts as they are."""
        self._live = self._query_live(connection)
        _write(
            connection,
            "live",
            {**self._live, "progress": None if self.counter.complete else self.counter.progress},
            None,
        )
        if self.counter.complete:
            _write(connection, "rows", self.counter.payload(), self.counter.counted_from)
            if time.monotonic() - self._history_at > HISTORY_SECONDS / 2:
                self._write_history(connection)
        connection.commit()

    def _write_history(self, connection: Connection) -> None:
        counts = self.counter.payload()
        polled, fresh = dict(counts["polled"]), dict(counts["fresh"])
        oldest: dict[str, float] = {}
        for platform, _paused, seconds in self._live["overdue"]:
            oldest[platform] = max(seconds, oldest.get(platform, 0.0))
        points = [
            {
                "platform": platform,
                "polled": rows,
                "fresh": fresh.get(platform, 0),
                "oldest": oldest.get(platform),
                "outcomes": {outcome: n for where, outcome, n in counts["recent"] if where == platform},
            }
            for platform, rows in polled.items()
        ]
        connection.execute(_HISTORY, {"points": json.dumps(points)})
        connection.execute(_DELETE_OLD_HISTORY)
        self._history_at = time.monotonic()

    def _query_live(self, connection: Connection) -> dict[str, Any]:
        quarantined = fleet.quarantined(connection, most=_MOST_QUARANTINED)
        overdue = fleet.oldest_overdue(connection)
        return {
            "overdue": [[one.platform, one.paused, one.seconds] for one in overdue if one.due_at],
            "accounts": [[*key, number] for key, number in fleet.accounts_by_state(connection).items()],
            "stuck": self._count_stuck(connection),
            "delays": self._query_delays(connection),
            "quarantined": quarantined,
            "quarantined_or_more": quarantined == _MOST_QUARANTINED,
            "claimed": sum(fleet.claimed(connection).values()),
            **self._query_redis(),
        }

    def _count_stuck(self, connection: Connection) -> int:
        """Return how many rows are stuck, counted every `STUCK_SECONDS`: the cost grows with the table."""
        if time.monotonic() >= self._stuck_at:
            self._stuck = sum(count_stuck(connection).values())
            self._stuck_at = time.monotonic() + STUCK_SECONDS
        return self._stuck

    def _query_delays(self, connection: Connection) -> list[list[Any]]:
        """Return the scheduling delays by workspace, queried every `DELAYS_SECONDS`."""
        if time.monotonic() >= self._delays_at:
            self._delays = [list(astuple(delay)) for delay in fleet.scheduling_delays(connection)]
            self._delays_at = time.monotonic() + DELAYS_SECONDS
        return self._delays

    def _query_redis(self) -> dict[str, Any]:
        """Return queue depths and workers, or why neither is known: an unknown number is no zero."""
        try:
            queues = {lane.value: refresh_queue.depth(self._client, lane) for lane in Lane}
            workers = refresh_queue.workers_alive(self._client)
            details = refresh_queue.worker_details(self._client, list(workers))
        except redis.RedisError:
            return {
                "queues": None,
                "workers": None,
                "worker_details": None,
                "redis_error": "Redis does not answer.",
            }
        return {"queues": queues, "workers": workers, "worker_details": details, "redis_error": None}


def _lock(connection: Connection) -> bool:
    locked: bool = connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK}).scalar_one()
    connection.commit()
    return locked


def _write(connection: Connection, part: str, payload: dict[str, Any], counted_from: Any) -> None:
    bound = {"part": part, "payload": json.dumps(payload), "counted_from": counted_from}
    connection.execute(_WRITE, bound)
