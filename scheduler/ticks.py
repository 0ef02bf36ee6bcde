"""The scheduler's ticks: hand out due rows, renew tokens, probe and check budgets, make partitions."""

from collections.abc import Sequence
from datetime import timedelta

import dramatiq
import redis
import structlog
from sqlalchemy import Engine

from scheduler.interactive_due import InteractiveDue
from scheduler.maintenance.renewals import ending_soon
from scheduler.outages import outages_logged
from scheduler.probes import probe
from scheduler.trace_contexts import TraceContexts
from shared import refresh_queue
from shared.changes import maintenance
from shared.freshness.policy import Freshness
from shared.observability import failpoints, metrics
from shared.partitions import ensure_partitions
from shared.quota import spending
from shared.redis_client import RedisClient
from shared.refresh_state.claim import Claims, claim
from shared.refresh_state.ready import queue, reading
from shared.refresh_state.ready.memory import ClaimMemory
from shared.refresh_state.ready.sweep import sweep
from shared.refresh_state.release_claim import release_claim
from shared.settings import Settings
from shared.vocabulary import Lane, Platform

QUEUED_PER_THREAD = 2
"""Jobs that may wait in Redis for each worker thread: what the fleet can take soon, and no more."""

INTERACTIVE_EXTRA = 2
"""How many times the background capacity of a platform that shares the fleet its interactive jobs may use:
they never wait for capacity that background jobs took."""

REFILLS_PER_TICK = 4
"""How often rows are handed out in the time of a tick while there is work, so that no thread idles."""

PARTITIONS_EVERY = timedelta(hours=1)
"""How often the next months' partitions are checked; once a month would do."""

RENEW_EVERY = timedelta(hours=1)
"""How often tokens that end soon are looked up: their margins are days."""

PROBE_BUDGETS_EVERY = timedelta(seconds=30)
"""How often paused budgets are looked up; `scheduler.probes` says how often each is probed."""

CHECK_BUDGET_EVERY = timedelta(hours=1)
"""How often a raised budget is looked for. The run at the start matters: settings are read then."""

FILL_CHANGES_EVERY = timedelta(minutes=1)
"""How often rows without a place in the delta feed are looked for; there are some after an upgrade only."""

FILL_CHANGES_AGAIN_AFTER = timedelta(milliseconds=200)
"""Between two slices while there are such rows: ten million take a few minutes."""

SWEEP_TIMERS_EVERY = timedelta(seconds=5)
"""How often a thousand accounts are compared with their timers: a million in an hour and a half."""

PURGE_CHANGES_EVERY = timedelta(hours=1)
"""How often the delta feed's rows of deleted publications are purged."""

_ROUNDS_PER_TICK = 20
_TIMER_ROUNDS = 40  # ten thousand accounts whose timers have passed join the queue between two claims
_log = structlog.get_logger(__name__)


class Ticks:
    """The ticks of one scheduler process; each may be called at any time and by any number of schedulers.

    An outage of Redis or PostgreSQL ends a tick with a log line: nothing is lost, the next run sees the same
    rows.
    """

    def __init__(
        self, settings: Settings, engine: Engine, client: RedisClient, broker: dramatiq.Broker
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._client = client
        self._broker = broker
        self.trace_contexts = TraceContexts()
        """Trace contexts of rows that became due, as notifications named them."""
        self._swept = ""
        policy = Freshness.parse(settings.freshness)
        self._top_up = {platform: policy.top_up(platform) for platform in Platform}
        self._memory = ClaimMemory()
        self._interactive = InteractiveDue()

    def notified(self) -> None:
        """Let the next `hand_out` ask for interactive work: a notification says that rows became due."""
        self._interactive.notified()

    def hand_out(self) -> int:
        """Claim due rows and enqueue their jobs, as far as workers can take them soon; return how many rows.

        Interactive work goes first.
        """
        handed_out = 0
        with outages_logged():
            workers = list(refresh_queue.workers_alive(self._client).values())
            for lane in (Lane.INTERACTIVE, Lane.BACKGROUND):
                handed_out += self._fill(lane, workers)
        return handed_out

    def _fill(self, lane: Lane, workers: Sequence[int]) -> int:
        """Fill a lane's queue for these workers, each given by its threads; return how many rows."""
        handed_out = 0
        for _ in range(_ROUNDS_PER_TICK):
            capacity = sum(workers) * QUEUED_PER_THREAD - refresh_queue.depth(self._client, lane)
            if capacity <= 0:
                break
            if lane is Lane.INTERACTIVE and not self._interactive.may_be_due():
                break
            claims = self._claim(lane, capacity, workers)
            if claims.more_due:
                self._add_due(lane)
            if not claims.jobs:
                if claims.more_due:
                    continue
                break
            failpoints.hit("claimed")
            self._enqueue(lane, claims)
            failpoints.hit("enqueued")
            handed_out += claims.rows
        return handed_out

    def _claim(self, lane: Lane, capacity: int, workers: Sequence[int]) -> Claims:
        threads = sum(workers)
        shared = threads * (INTERACTIVE_EXTRA if lane is Lane.INTERACTIVE else 1)
        notifications = self._interactive.asking()
        with self._engine.begin() as connection:
            claims = claim(
                connection,
                lane,
                jobs=capacity,
                platform_jobs=threads * (1 + QUEUED_PER_THREAD),
                shared_jobs=shared,
                lease=self._settings.lease,
                top_up=self._top_up,
                memory=self._memory,
            )
            if claims.jobs:
                failpoints.hit("claiming")
            elif lane is Lane.INTERACTIVE and not claims.more_due:
                self._interactive.none_due(notifications, reading.next_timer(connection, lane))
        metrics.CLAIMS.labels(lane.value).inc(claims.rows)
        metrics.EXPIRED_LEASES.labels(lane.value).inc(claims.expired_leases)
        if claims.jobs:
            _log.debug("claimed", lane=lane.value, jobs=len(claims.jobs), rows=claims.rows)
        if claims.expired_leases:
            _log.warning("leases_expired", lane=lane.value, rows=claims.expired_leases)
        return claims

    def _add_due(self, lane: Lane) -> None:
        """Put accounts whose timers have passed in the queue, where fair share sees them all."""
        for _ in range(_TIMER_ROUNDS):
            with self._engine.begin() as connection:
                if not queue.add_due(connection, lane):
                    break

    def _enqueue(self, lane: Lane, claims: Claims) -> None:
        """Enqueue after the commit; claims that cannot be enqueued are released, due again a tick later."""
        try:
            refresh_queue.enqueue(self._broker, lane, claims.jobs, self.trace_contexts.take)
        except redis.RedisError:
            with self._engine.begin() as connection:
                release_claim(connection, claims.jobs, after=timedelta(seconds=self._settings.tick_seconds))
            raise

    def renew_tokens(self) -> None:
        """Enqueue the renewal of tokens that end soon on accounts that nothing else may touch in time."""
        with outages_logged():
            with self._engine.begin() as connection:
                accounts = ending_soon(connection)
            refresh_queue.enqueue_renewals(self._broker, accounts)

    def probe_budgets(self) -> None:
        """Let one row probe each budget whose background work has been paused for a while."""
        with outages_logged(), self._engine.begin() as connection:
            probe(connection, self._client)

    def check_budget(self) -> None:
        """End the pause that X's spent budget placed, if the budget of these settings is larger."""
        with outages_logged():
            with self._engine.begin() as connection:
                lifted = spending.lift_pause_after_budget_increase(
                    connection, spending.Caps.of(self._settings)
                )
            if lifted:
                _log.info("budget_raised", platform=Platform.X.value)

    def fill_changes(self) -> timedelta | None:
        """Give a slice of rows that existed before the delta feed their place; return when to go on."""
        more = True
        with outages_logged(), self._engine.begin() as connection:
            more = maintenance.fill(connection)
        return FILL_CHANGES_AGAIN_AFTER if more else None

    def purge_changes(self) -> timedelta | None:
        """Delete what the delta feed keeps of publications deleted long ago; return when to go on."""
        more = False
        with outages_logged(), self._engine.begin() as connection:
            more = maintenance.purge(connection, self._settings.changes_keep)
        return FILL_CHANGES_AGAIN_AFTER if more else None

    def sweep_timers(self) -> None:
        """Compare the timers of the next accounts with their rows; repair and report what differs."""
        with outages_logged():
            with self._engine.begin() as connection:
                swept = sweep(connection, self._swept)
            self._swept = swept.last
            metrics.TIMERS_REPAIRED.inc(swept.repaired)
            if swept.repaired:
                _log.error("timers_repaired", accounts=swept.repaired)

    def make_partitions(self) -> None:
        """Make the partitions that the next months need."""
        with outages_logged():
            with self._engine.begin() as connection:
                made = ensure_partitions(connection)
            if made:
                _log.info("partitions_made", names=made)
