"""``dravo worker``: one process with N threads; some are reserved for people, and lent meanwhile.

Run one process per supervised unit, any number of units. SIGTERM lets jobs in flight finish and releases the
claims of queued ones; a second SIGTERM ends the process at once.
"""

import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import timedelta

import dramatiq
import redis
import structlog
from sqlalchemy import Engine

from shared import database, redis_client, refresh_queue
from shared.accounts.vault import Vault
from shared.observability import log, metrics, tracing
from shared.observability.exporter import Heartbeat, exporter
from shared.process import collect_rarely, die_with_parent, stop_on_signals, wait_for
from shared.settings import Settings, SettingsError, load
from shared.vocabulary import Lane
from worker.adapters import ADAPTERS
from worker.clock import DatabaseClock
from worker.context import WorkerContext
from worker.credentials.renewal import renew_ahead
from worker.http.client import Bounds, Client
from worker.queue import actors
from worker.queue.consumer import consuming_broker
from worker.queue.current_jobs import CurrentJobs
from worker.queue.lending import Lending, waiting_in
from worker.queue.shutdown import shut_down
from worker.quota.fleet import FleetBudgets
from worker.refresh import refresh

ROLE = "dravo_worker"
"""What its sessions may do in the database: open tokens, record readings, pause."""

_IDLE_POLL_MILLISECONDS = 100
_HEARTBEAT_SECONDS = 4.0
_log = structlog.get_logger(__name__)


def main() -> int:
    """Run until SIGTERM or SIGINT. Returns 0, or 1 when it could not start."""
    die_with_parent()
    stopping = stop_on_signals()
    try:
        settings = load("database_url", "redis_url", "secret_keys")
        log.configure("worker", settings.log_format)
        tracing.configure("worker")
        with _worker_context(settings) as context:
            client = redis_client.connect(settings.redis)
            redis_client.check_reachable(client)
            heartbeat = Heartbeat(timedelta(seconds=_HEARTBEAT_SECONDS))
            with exporter("worker", settings, heartbeat):
                _serve(settings, context, client, heartbeat, stopping)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


@contextmanager
def _worker_context(settings: Settings) -> Iterator[WorkerContext]:
    threads = settings.worker_threads
    engine: Engine = database.connect(
        settings.database, application="dravo-worker", pool_size=threads + 2, idle=settings.idle, role=ROLE
    )
    metrics.watch_pool("worker", engine)
    clock = DatabaseClock()
    try:
        database.check_reachable(engine)
        database.warn_without_role(engine, ROLE)
        with Client(_bounds(settings), connections=threads * 2, now=clock.now) as client:
            yield WorkerContext(
                settings=settings,
                engine=engine,
                vault=Vault(settings.secret_keys),
                client=client,
                clock=clock,
                adapters={platform: make(settings) for platform, make in ADAPTERS.items()},
                budgets=FleetBudgets.of(settings, redis_client.connect(settings.redis)),
                worker_id=f"{socket.gethostname()}:{os.getpid()}",
            )
    finally:
        engine.dispose()


def _bounds(settings: Settings) -> Bounds:
    """Return bounds with which a call ends well before its claim's lease does."""
    whole = min(timedelta(seconds=30), settings.lease / 2)
    return Bounds(
        connect=min(timedelta(seconds=5), whole), read=min(timedelta(seconds=15), whole), whole=whole
    )


def _serve(
    settings: Settings,
    context: WorkerContext,
    client: redis_client.RedisClient,
    heartbeat: Heartbeat,
    stopping: threading.Event,
) -> None:
    threads = settings.worker_threads
    reserved = refresh_queue.reserved_threads(threads, settings.interactive_share)
    jobs = CurrentJobs()
    worker = build_worker(settings, context, jobs)
    collect_rarely()
    worker.start()
    worker_id = context.worker_id
    _log.info("worker_started", worker_id=worker_id, threads=threads, reserved=reserved)

    def report() -> None:
        while True:
            heartbeat.beat()
            try:
                refresh_queue.report_alive(client, worker_id, threads)
                refresh_queue.report_details(client, worker_id, jobs.report(threads))
            except redis.RedisError as error:
                _log.warning("redis_unreachable", detail=type(error).__name__)
            if stopping.wait(_HEARTBEAT_SECONDS):
                break
        with suppress(redis.RedisError):  # the entry expires by itself within seconds
            refresh_queue.report_gone(client, worker_id, threads)

    # In a thread of its own: a Redis that hangs must not delay the reaction to SIGTERM.
    threading.Thread(target=report, name="report_alive", daemon=True).start()
    wait_for(stopping)
    shut_down(worker, context.engine)
    _log.info("worker_stopped", worker_id=worker_id)


def build_worker(settings: Settings, context: WorkerContext, jobs: CurrentJobs) -> dramatiq.Worker:
    """Return the worker whose threads take the jobs of both lanes, those of the interactive lane first."""
    threads = settings.worker_threads
    broker = consuming_broker(redis_client.connect(settings.redis))
    worker = dramatiq.Worker(broker, worker_threads=threads, worker_timeout=_IDLE_POLL_MILLISECONDS)
    reserved = refresh_queue.reserved_threads(threads, settings.interactive_share)
    lending = Lending(threads, reserved, lambda: waiting_in(worker))
    context = replace(context, lending=lending)

    def run(job: refresh_queue.RefreshJob, lane: Lane) -> None:
        with jobs.running(job), lending.background() if lane is Lane.BACKGROUND else nullcontext():
            refresh(job, context)

    actors.register(broker, run, lambda account_id: renew_ahead(account_id, context))
    return worker


if __name__ == "__main__":
    sys.exit(main())
