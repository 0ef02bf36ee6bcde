"""``dravo scheduler``: claims due rows, enqueues them, and maintains the fleet's figures.

Any number of schedulers may run; none of them leads.
"""

import sys
import threading
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta

import structlog
from prometheus_client import REGISTRY
from sqlalchemy import Engine

from scheduler.freshness import PRESSURE_CHECKED_EVERY, REFIT_EVERY, FreshnessTicks
from scheduler.listener import listen
from scheduler.maintenance.erasures import ERASE_EVERY, Erasures
from scheduler.maintenance.replanning import REPLAN_EVERY
from scheduler.maintenance.retention import RETAIN_EVERY, RetentionTick
from scheduler.metrics.fleet_metrics import READ_EVERY, FleetMetrics
from scheduler.refill import refill
from scheduler.schedule import THREADS, URGENT_THREADS, Schedule, Tick
from scheduler.summaries.summary_writer import STATEMENT_SECONDS, SummaryWriter
from scheduler.ticks import (
    CHECK_BUDGET_EVERY,
    FILL_CHANGES_EVERY,
    PARTITIONS_EVERY,
    PROBE_BUDGETS_EVERY,
    PURGE_CHANGES_EVERY,
    REFILLS_PER_TICK,
    RENEW_EVERY,
    SWEEP_TIMERS_EVERY,
    Ticks,
)
from shared import database, redis_client, refresh_queue
from shared.erasure import run as erasure
from shared.erasure.ledger import ledger_of
from shared.erasure.places.log_files import log_files_of
from shared.observability import log, metrics, tracing
from shared.observability.exporter import Heartbeat, exporter
from shared.process import die_with_parent, stop_on_signals, wait_for
from shared.retention.policy import Retention
from shared.settings import Settings, SettingsError, load

ROLE = "dravo_scheduler"
"""Its role in the database: may see what is due, claim it, make partitions and write the fleet's summary."""

_log = structlog.get_logger(__name__)


def main() -> int:
    """Run until SIGTERM or SIGINT. Returns 0, or 1 when it could not start."""
    die_with_parent()
    stopping = stop_on_signals()
    try:
        settings = load("database_url", "redis_url")
        log.configure("scheduler", settings.log_format)
        tracing.configure("scheduler")
        engine = _connect(settings, "dravo-scheduler", THREADS + URGENT_THREADS + 1)  # the refill
        summary_engine = _connect(settings, "dravo-scheduler-summary", 1, STATEMENT_SECONDS)
        # Only the owner of a table may detach a partition: without a role, it keeps its user's rights.
        owner_engine = _connect(settings, "dravo-scheduler-retention", 2, role=None)
        erasure_engine = _connect(settings, "dravo-scheduler-erasure", 2, role=erasure.ROLE)
        metrics.watch_pool("scheduler", engine)
        try:
            database.check_reachable(engine)
            database.warn_without_role(engine, ROLE)
            client = redis_client.connect(settings.redis)
            redis_client.check_reachable(client)
            ticks = Ticks(settings, engine, client, refresh_queue.broker(client))
            fleet_metrics = FleetMetrics(engine, client)
            REGISTRY.register(fleet_metrics)
            heartbeat = Heartbeat(timedelta(seconds=settings.tick_seconds))
            with (
                exporter("scheduler", settings, heartbeat) as port,
                closing(SummaryWriter(summary_engine, client)) as writer,
            ):
                erasures = Erasures(erasure_engine, client, ledger_of(settings), log_files_of(settings))
                retention = RetentionTick(owner_engine, Retention.parse(settings.retention))
                freshness = FreshnessTicks(settings, engine, client)
                measured = fleet_metrics if port else None
                schedule = _schedule(settings, ticks, erasures, retention, freshness, measured, heartbeat)
                writer.start()
                _serve(settings, schedule, ticks, redis_client.connect(settings.redis), stopping)
        finally:
            engine.dispose()
            summary_engine.dispose()
            erasure_engine.dispose()
            owner_engine.dispose()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _connect(
    settings: Settings,
    application: str,
    connections: int,
    statement_seconds: float = 30,
    *,
    role: str | None = ROLE,
) -> Engine:
    return database.connect(
        settings.database,
        application=application,
        pool_size=connections,
        statement_seconds=statement_seconds,
        idle=settings.idle,
        role=role,
    )


def _schedule(
    settings: Settings,
    ticks: Ticks,
    erasures: Erasures,
    retention: RetentionTick,
    freshness: FreshnessTicks,
    fleet_metrics: FleetMetrics | None,
    heartbeat: Heartbeat,
) -> Schedule:
    tick = timedelta(seconds=settings.tick_seconds)

    def hand_out() -> timedelta | None:
        heartbeat.beat()
        return tick / REFILLS_PER_TICK if ticks.hand_out() else None

    schedule: dict[str, tuple[Tick, timedelta]] = {
        "hand_out": (hand_out, tick),
        "make_partitions": (ticks.make_partitions, PARTITIONS_EVERY),
        "sweep_timers": (ticks.sweep_timers, SWEEP_TIMERS_EVERY),
        "renew_tokens": (ticks.renew_tokens, RENEW_EVERY),
        "probe_budgets": (ticks.probe_budgets, PROBE_BUDGETS_EVERY),
        "check_budget": (ticks.check_budget, CHECK_BUDGET_EVERY),
        "fill_changes": (ticks.fill_changes, FILL_CHANGES_EVERY),
        "purge_changes": (ticks.purge_changes, PURGE_CHANGES_EVERY),
        "erase": (erasures.run, ERASE_EVERY),
        "retain": (retention.run, RETAIN_EVERY),
        "adjust_pressure": (freshness.adjust_pressure, PRESSURE_CHECKED_EVERY),
        "refit_half_lives": (freshness.refit, REFIT_EVERY),
        "replan": (freshness.replanning.run, REPLAN_EVERY),
    }
    if fleet_metrics:
        schedule["read_fleet_metrics"] = (fleet_metrics.read, READ_EVERY)
    return Schedule(schedule, urgent={"hand_out"})


def _serve(
    settings: Settings,
    schedule: Schedule,
    ticks: Ticks,
    client: redis_client.RedisClient,
    stopping: threading.Event,
) -> None:
    def wake(payloads: Sequence[str]) -> None:
        ticks.trace_contexts.remember(payloads)
        ticks.notified()
        schedule.run_soon("hand_out")

    threads = [
        threading.Thread(
            target=listen, args=(settings.database, wake, stopping), name="listener", daemon=True
        ),
        # On a connection of its own: it waits there for most of its time.
        threading.Thread(target=refill, args=(client, ticks.hand_out, stopping), name="refill", daemon=True),
    ]
    schedule.start()
    for thread in threads:
        thread.start()
    _log.info("scheduler_started", tick_seconds=settings.tick_seconds)
    wait_for(stopping, schedule.follow_clock)
    schedule.stop()
    for thread in threads:
        thread.join()
    _log.info("scheduler_stopped")


if __name__ == "__main__":
    sys.exit(main())
