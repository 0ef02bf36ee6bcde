"""What the scheduler does at each tick: claim → commit → enqueue; make partitions ahead."""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta

import dramatiq
import redis
import structlog
from sqlalchemy import Engine

from scheduler.probes import probe
from scheduler.renewals import ending_soon
from scheduler.trace_contexts import Traces
from shared import database, refresh_queue
from shared.freshness import Freshness
from shared.observability import failpoints, metrics
from shared.partitions import ensure_partitions
from shared.quota import spending
from shared.redis_client import RedisClient
from shared.refresh_state.claim import Claims, claim
from shared.refresh_state.release_claim import release_claim
from shared.settings import Settings
from shared.vocabulary import Lane, Platform

QUEUED_PER_THREAD = 2
"""Jobs that may wait in Redis for each worker thread: what the fleet can take soon, and no more."""

INTERACTIVE_EXTRA = 2
"""How many times what background may have in flight at a platform that shares the fleet, with people's jobs:
theirs never wait for room that background took."""

REFILLS_PER_TICK = 4
"""Looks within a tick while there is work: threads that are done early do not wait for the next one."""

PARTITIONS_EVERY = timedelta(hours=1)
"""How often the next months' partitions are looked for; any tick of a month would do."""

RENEW_EVERY = timedelta(hours=1)
"""How often tokens that end soon are looked for: their margins are days."""

PROBE_LOOKS_EVERY = timedelta(seconds=30)
"""How often is looked for budgets to ask about; `scheduler.probes` says how often each is."""

_ROUNDS_PER_TICK = 20
_TOP_UP_SHARE = 10  # a sibling travels along in the last tenth of its interval
_log = structlog.get_logger(__name__)


class Ticks:
    """The ticks of one scheduler process; each may be called at any time and by any number of schedulers."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        client: RedisClient,
        broker: dramatiq.Broker,
        *,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._client = client
        self._broker = broker
        self._wait = wait
        self.traces = Traces()
        """On whose trace rows became due, as far as the doorbell told."""
        self._started = False
        interval = Freshness.parse(settings.freshness).interval
        self._top_up = dict.fromkeys(Platform, interval / _TOP_UP_SHARE)

    def hand_out(self) -> int:
        """Claim what is due, as far as the fleet can take it soon; return how many rows were handed out.

        Interactive work first; while there is work, the queue is filled up again until the tick is over.
        Trouble with Redis or PostgreSQL ends the tick with a log line: nothing is lost, the next tick sees
        the same rows.
        """
        handed_out = 0
        try:
            self._lift_outgrown_pause()
            for look in range(REFILLS_PER_TICK):
                if look:
                    self._wait(self._settings.tick_seconds / REFILLS_PER_TICK)
                workers = list(refresh_queue.workers_alive(self._client).values())
                for lane in (Lane.INTERACTIVE, Lane.BACKGROUND):
                    handed_out += self._fill(lane, workers)
                if not handed_out:
                    break
        except redis.RedisError as error:
            _log.warning("redis_unreachable", detail=type(error).__name__)
        except database.DATABASE_AWAY as error:
            _log.warning("database_unreachable", detail=type(error.orig).__name__)
        return handed_out

    def _lift_outgrown_pause(self) -> None:
        """At the start: a larger budget, set since X was paused for a spent one, holds at once."""
        if not self._started:
            with self._engine.begin() as connection:
                lifted = spending.lift_pause_after_budget_increase(
                    connection, spending.Caps.of(self._settings)
                )
            self._started = True
            if lifted:
                _log.info("budget_raised", platform=Platform.X.value)

    def _fill(self, lane: Lane, workers: Sequence[int]) -> int:
        """Fill a lane's queue for these workers, each told by its threads; return how many rows."""
        handed_out = 0
        for _ in range(_ROUNDS_PER_TICK):
            room = sum(workers) * QUEUED_PER_THREAD - refresh_queue.depth(self._client, lane)
            if room <= 0:
                break
            claims = self._claim(lane, room, workers)
            if not claims.jobs:
                break
            failpoints.hit("claimed")
            self._ring(lane, claims)
            failpoints.hit("enqueued")
            handed_out += claims.rows
        return handed_out

    def _claim(self, lane: Lane, room: int, workers: Sequence[int]) -> Claims:
        threads, share = sum(workers), self._settings.interactive_share
        for_background = threads - sum(refresh_queue.reserved_threads(each, share) for each in workers)
        shared = for_background * (INTERACTIVE_EXTRA if lane is Lane.INTERACTIVE else 1)
        with self._engine.begin() as connection:
            claims = claim(
                connection,
                lane,
                jobs=room,
                platform_jobs=threads * (1 + QUEUED_PER_THREAD),
                shared_jobs=max(1, shared),
                lease=self._settings.lease,
                top_up=self._top_up,
            )
            if claims.jobs:
                failpoints.hit("claiming")
        metrics.CLAIMS.labels(lane.value).inc(claims.rows)
        metrics.EXPIRED_LEASES.labels(lane.value).inc(claims.expired_leases)
        if claims.jobs:
            _log.debug("claimed", lane=lane.value, jobs=len(claims.jobs), rows=claims.rows)
        if claims.expired_leases:
            _log.warning("leases_expired", lane=lane.value, rows=claims.expired_leases)
        return claims

    def _ring(self, lane: Lane, claims: Claims) -> None:
        """Enqueue after the commit; what cannot be enqueued is given back, due again in a moment."""
        try:
            refresh_queue.enqueue(self._broker, lane, claims.jobs, self.traces.of)
        except redis.RedisError:
            with self._engine.begin() as connection:
                release_claim(connection, claims.jobs, after=timedelta(seconds=self._settings.tick_seconds))
            raise

    def renew_tokens(self) -> None:
        """Ask for the renewal of tokens that end soon on accounts that nothing else may touch in time."""
        try:
            with self._engine.begin() as connection:
                accounts = ending_soon(connection)
            refresh_queue.enqueue_renewals(self._broker, accounts)
        except redis.RedisError as error:
            _log.warning("redis_unreachable", detail=type(error).__name__)
        except database.DATABASE_AWAY as error:
            _log.warning("database_unreachable", detail=type(error.orig).__name__)

    def probe_budgets(self) -> None:
        """Let one row ask for each budget whose background work has been waiting for a while."""
        try:
            with self._engine.begin() as connection:
                probe(connection, self._client)
        except redis.RedisError as error:
            _log.warning("redis_unreachable", detail=type(error).__name__)
        except database.DATABASE_AWAY as error:
            _log.warning("database_unreachable", detail=type(error.orig).__name__)

    def make_partitions(self) -> None:
        """Make the partitions that the next months need."""
        try:
            with self._engine.begin() as connection:
                made = ensure_partitions(connection)
        except database.DATABASE_AWAY as error:
            _log.warning("database_unreachable", detail=type(error.orig).__name__)
            return
        if made:
            _log.info("partitions_made", names=made)
