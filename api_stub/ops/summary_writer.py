"""Keeps the figures of the page up to date, in one process of however many there are.

Whoever holds an advisory lock keeps them; the others try again now and then. Rows are counted by the census;
what is cheap to ask (oldest overdue, accounts, queues) is asked every few seconds.
"""

import contextlib
import json
import threading
import time
from typing import Any, Final

import redis
import structlog
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from api_stub.ops.row_counter import Census
from shared import refresh_queue
from shared.quota.pauses import NOT_PAUSED
from shared.redis_client import RedisClient
from shared.vocabulary import Lane

WATCH_SECONDS: Final = 2.0
"""Between two looks at what is cheap, and between two writings of the census."""
HISTORY_SECONDS: Final = 60
_RESTS: Final = 6  # times as long as it worked: the census takes a seventh of one connection's time
_LOCK: Final = 7_205_719_330  # any constant: one keeper in the whole fleet
_MOST_QUARANTINED: Final = 10_000
_log = structlog.get_logger(__name__)

_OVERDUE: Final = text(f"""
SELECT platform, paused, EXTRACT(epoch FROM now() - min(next_run_at)) AS oldest
  FROM (SELECT a.platform, NOT ({NOT_PAUSED}) AS paused, first.next_run_at
          FROM accounts a
         CROSS JOIN LATERAL (
               SELECT r.next_run_at FROM refresh_state r
                WHERE r.account_id = a.account_id AND r.next_run_at <= now()
                ORDER BY r.next_run_at LIMIT 1) first
         WHERE a.state = 'active') accounts
 GROUP BY platform, paused
""")  # noqa: S608 - the condition is a constant of ours
_ACCOUNTS: Final = text("SELECT platform, state, count(*) FROM accounts GROUP BY platform, state")
_QUARANTINED: Final = text(
    "SELECT count(*) FROM (SELECT FROM refresh_state WHERE reason = 'quarantined' LIMIT :most) found"
)
_CLAIMED: Final = text(
    "SELECT count(*) FROM refresh_state WHERE claimed_at IS NOT NULL AND next_run_at > now()"
)
_WRITE: Final = text("""
INSERT INTO ops_summary AS s (part, told, counted_from, counted_at)
VALUES (:part, CAST(:told AS jsonb), COALESCE(:counted_from, now()), now())
ON CONFLICT (part) DO UPDATE
   SET told = excluded.told, counted_from = excluded.counted_from, counted_at = excluded.counted_at
""")
_HISTORY: Final = text("""
INSERT INTO ops_history (at, platform, polled, fresh, oldest_overdue_seconds, outcomes)
SELECT date_trunc('minute', now()), platform, polled, fresh, oldest, outcomes
  FROM jsonb_to_recordset(CAST(:points AS jsonb))
       AS p (platform text, polled bigint, fresh bigint, oldest float8, outcomes jsonb)
ON CONFLICT (at, platform) DO NOTHING
""")
_FORGET: Final = text("DELETE FROM ops_history WHERE at < now() - interval '2 days'")


class Keeper:
    """One process's part in keeping the figures."""

    def __init__(self, engine: Engine, client: RedisClient | None) -> None:
        self._engine = engine
        self._client = client
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ops-keeper", daemon=True)
        self.census = Census()
        self._watched: dict[str, Any] = {}
        self._noted_at = 0.0

    def start(self) -> None:
        """Begin, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for the statement under way."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._engine.connect() as connection:
                    if _elected(connection):
                        self._keep(connection)
            except SQLAlchemyError as error:  # whatever it is: the page tells how old the figures are
                _log.warning("ops_summary_not_kept", detail=type(error).__name__)
            self._stopping.wait(WATCH_SECONDS)

    def _keep(self, connection: Connection) -> None:
        self.census = Census()
        try:
            while not self._stopping.is_set():
                self.write(connection)
                self._count_until(connection, time.monotonic() + WATCH_SECONDS)
        finally:
            with contextlib.suppress(SQLAlchemyError):  # a lost connection has lost the lock as well
                connection.rollback()
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})
                connection.commit()

    def _count_until(self, connection: Connection, until: float) -> None:
        """Count slices, each followed by a rest, until then; a round that ends early waits for the rest."""
        while time.monotonic() < until:
            began = time.monotonic()
            ended = self.census.step(connection)
            connection.rollback()  # a transaction a slice: none grows old
            rest = (time.monotonic() - began) * _RESTS
            if self._stopping.wait(max(0.0, until - time.monotonic()) if ended else rest):
                return

    def write(self, connection: Connection) -> None:
        """Ask what is cheap, and write it down with the census as it stands."""
        self._watched = self._watch(connection)
        told = {**self._watched, "progress": None if self.census.complete else self.census.progress}
        _write(connection, "watch", told, None)
        if self.census.complete:
            _write(connection, "census", self.census.told(), self.census.counted_from)
            if time.monotonic() - self._noted_at > HISTORY_SECONDS / 2:
                self._note(connection)
        connection.commit()

    def _note(self, connection: Connection) -> None:
        told = self.census.told()
        polled, fresh = dict(told["polled"]), dict(told["fresh"])
        oldest: dict[str, float] = {}
        for platform, _paused, seconds in self._watched["overdue"]:
            oldest[platform] = max(seconds, oldest.get(platform, 0.0))
        points = [
            {
                "platform": platform,
                "polled": rows,
                "fresh": fresh.get(platform, 0),
                "oldest": oldest.get(platform),
                "outcomes": {outcome: n for where, outcome, n in told["recent"] if where == platform},
            }
            for platform, rows in polled.items()
        ]
        connection.execute(_HISTORY, {"points": json.dumps(points)})
        connection.execute(_FORGET)
        self._noted_at = time.monotonic()

    def _watch(self, connection: Connection) -> dict[str, Any]:
        quarantined = connection.execute(_QUARANTINED, {"most": _MOST_QUARANTINED}).scalar_one()
        return {
            "overdue": [[row[0], row[1], float(row[2])] for row in connection.execute(_OVERDUE)],
            "accounts": [list(row) for row in connection.execute(_ACCOUNTS)],
            "quarantined": quarantined,
            "quarantined_or_more": quarantined == _MOST_QUARANTINED,
            "claimed": connection.execute(_CLAIMED).scalar_one(),
            **self._ask_redis(),
        }

    def _ask_redis(self) -> dict[str, Any]:
        """Return queue depths and workers, or why neither is known: what cannot be asked is no zero."""
        unknown: dict[str, Any] = {"queues": None, "workers": None}
        if self._client is None:
            return {**unknown, "redis_error": "DRAVO_REDIS_URL is not set for the API."}
        try:
            queues = {lane.value: refresh_queue.depth(self._client, lane) for lane in Lane}
            workers = refresh_queue.workers_alive(self._client)
        except redis.RedisError:
            return {**unknown, "redis_error": "Redis does not answer."}
        return {"queues": queues, "workers": workers, "redis_error": None}


def _elected(connection: Connection) -> bool:
    held: bool = connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK}).scalar_one()
    connection.commit()
    return held


def _write(connection: Connection, part: str, told: dict[str, Any], counted_from: Any) -> None:
    connection.execute(_WRITE, {"part": part, "told": json.dumps(told), "counted_from": counted_from})
