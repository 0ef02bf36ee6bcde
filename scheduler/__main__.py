"""``dravo scheduler``: a few named ticks in UTC. Any number of these may run; none of them leads."""

import sys
import threading
from datetime import UTC, datetime

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from scheduler.doorbell import listen
from scheduler.ticks import PARTITIONS_EVERY, RENEW_EVERY, Ticks
from shared import database, log, redis_client, refresh_queue
from shared.process import die_with_parent, stop_on_signals
from shared.settings import Settings, SettingsError, load

_log = structlog.get_logger(__name__)


def main() -> int:
    """Run until SIGTERM or SIGINT. Returns 0, or 1 when it could not start."""
    die_with_parent()
    try:
        settings = load("database_url", "redis_url")
        log.configure("scheduler", settings.log_format)
        engine = database.connect(settings.database, application="dravo-scheduler", pool_size=3)
        try:
            database.check_reachable(engine)
            client = redis_client.connect(settings.redis)
            redis_client.check_reachable(client)
            ticks = Ticks(settings, engine, client, refresh_queue.broker(client))
            _serve(settings, ticks)
        finally:
            engine.dispose()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _serve(settings: Settings, ticks: Ticks) -> None:
    stopping = stop_on_signals()
    # In memory only: what is due is in PostgreSQL, a tick that was missed is made up by the next one.
    scheduler = BackgroundScheduler(
        timezone=UTC,
        executors={"default": ThreadPoolExecutor(2)},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
    )
    now = datetime.now(UTC)
    hand_out = scheduler.add_job(
        ticks.hand_out, "interval", seconds=settings.tick_seconds, next_run_time=now, id="hand_out"
    )
    scheduler.add_job(
        ticks.make_partitions,
        "interval",
        seconds=PARTITIONS_EVERY.total_seconds(),
        next_run_time=now,
        id="make_partitions",
    )
    scheduler.add_job(
        ticks.renew_tokens,
        "interval",
        seconds=RENEW_EVERY.total_seconds(),
        next_run_time=now,
        id="renew_tokens",
    )
    scheduler.start()
    doorbell = threading.Thread(
        target=listen,
        args=(settings.database, lambda: hand_out.modify(next_run_time=datetime.now(UTC)), stopping),
        name="doorbell",
        daemon=True,
    )
    doorbell.start()
    _log.info("scheduler_started", tick_seconds=settings.tick_seconds)
    stopping.wait()
    scheduler.shutdown(wait=True)
    doorbell.join()
    _log.info("scheduler_stopped")


if __name__ == "__main__":
    sys.exit(main())
