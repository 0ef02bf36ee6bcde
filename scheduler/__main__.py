"""``dravo scheduler``: a few named ticks in UTC. Any number of these may run; none of them leads."""

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from prometheus_client import REGISTRY

from scheduler.fleet_metrics import LOOK_EVERY, FleetView
from scheduler.listener import listen
from scheduler.ticks import PARTITIONS_EVERY, PROBE_LOOKS_EVERY, RENEW_EVERY, Ticks
from scheduler.trace_contexts import Traces
from shared import database, redis_client, refresh_queue
from shared.observability import log, metrics, tracing
from shared.observability.exporter import Heartbeat, exporter
from shared.process import die_with_parent, stop_on_signals, wait_for
from shared.settings import Settings, SettingsError, load

ROLE = "dravo_scheduler"
"""What its sessions may do in the database: see what is due, claim it, make partitions."""

_THREADS = 3
"""One for handing out whatever the slower ticks do; each uses one database connection at a time."""

Schedule = Mapping[str, tuple[Callable[[], object], timedelta]]
"""What runs, by name, and how often."""

_log = structlog.get_logger(__name__)


def main() -> int:
    """Run until SIGTERM or SIGINT. Returns 0, or 1 when it could not start."""
    die_with_parent()
    try:
        settings = load("database_url", "redis_url")
        log.configure("scheduler", settings.log_format)
        tracing.configure("scheduler")
        engine = database.connect(
            settings.database,
            application="dravo-scheduler",
            pool_size=_THREADS,
            idle=settings.idle,
            role=ROLE,
        )
        metrics.watch_pool("scheduler", engine)
        try:
            database.check_reachable(engine)
            database.warn_without_role(engine, ROLE)
            client = redis_client.connect(settings.redis)
            redis_client.check_reachable(client)
            ticks = Ticks(settings, engine, client, refresh_queue.broker(client))
            view = FleetView(engine, client)
            REGISTRY.register(view)
            heartbeat = Heartbeat(timedelta(seconds=settings.tick_seconds))
            with exporter("scheduler", settings, heartbeat) as port:
                _serve(settings, _schedule(settings, ticks, view if port else None, heartbeat), ticks.traces)
        finally:
            engine.dispose()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _schedule(settings: Settings, ticks: Ticks, view: FleetView | None, heartbeat: Heartbeat) -> Schedule:
    def hand_out() -> None:
        heartbeat.beat()
        ticks.hand_out()

    schedule: dict[str, tuple[Callable[[], object], timedelta]] = {
        "hand_out": (hand_out, timedelta(seconds=settings.tick_seconds)),
        "make_partitions": (ticks.make_partitions, PARTITIONS_EVERY),
        "renew_tokens": (ticks.renew_tokens, RENEW_EVERY),
        "probe_budgets": (ticks.probe_budgets, PROBE_LOOKS_EVERY),
    }
    if view:
        schedule["look"] = (view.look, LOOK_EVERY)
    return schedule


def _timed(name: str, tick: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        with metrics.TICK_SECONDS.labels(name).time():
            tick()
        metrics.TICK_ENDED_AT.labels(name).set_to_current_time()

    return run


def _serve(settings: Settings, schedule: Schedule, traces: Traces) -> None:
    stopping = stop_on_signals()
    # In memory only: what is due is in PostgreSQL, a tick that was missed is made up by the next one.
    scheduler = BackgroundScheduler(
        timezone=UTC,
        executors={"default": ThreadPoolExecutor(_THREADS)},
        # Two: who rings while a tick still refills the queue is answered at once, by one more.
        job_defaults={"coalesce": True, "max_instances": 2, "misfire_grace_time": None},
    )
    jobs = {
        name: scheduler.add_job(
            _timed(name, tick),
            "interval",
            seconds=every.total_seconds(),
            next_run_time=datetime.now(UTC),
            id=name,
        )
        for name, (tick, every) in schedule.items()
    }
    scheduler.start()

    def wake(said: Sequence[str]) -> None:
        traces.remember(said)
        jobs["hand_out"].modify(next_run_time=datetime.now(UTC))

    doorbell = threading.Thread(
        target=listen,
        args=(settings.database, wake, stopping),
        name="doorbell",
        daemon=True,
    )
    doorbell.start()
    _log.info("scheduler_started", tick_seconds=settings.tick_seconds)
    wait_for(stopping)
    scheduler.shutdown(wait=True)
    doorbell.join()
    _log.info("scheduler_stopped")


if __name__ == "__main__":
    sys.exit(main())
