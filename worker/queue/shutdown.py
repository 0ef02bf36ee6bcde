"""The shutdown of a worker process: jobs in flight finish, and the claims of queued jobs are released."""

import threading
import time
from datetime import timedelta
from typing import Final

import dramatiq
import structlog
from sqlalchemy import Engine

from shared.database import DATABASE_AWAY
from shared.refresh_queue import RefreshJob
from shared.refresh_state.release_claim import release_claim

GRACE: Final = timedelta(seconds=9)
"""How long a shutdown waits for jobs in flight; the lease covers a job that is still running then."""

_log = structlog.get_logger(__name__)


def shut_down(worker: dramatiq.Worker, engine: Engine) -> None:
    """Stop this worker within ``GRACE``, and release the claims of the jobs that have not started."""
    # A job that starts after this line has spent its claims, so releasing them does nothing.
    unstarted = [_job(item.message) for item in list(worker.work_queue.queue)]
    grace = int(GRACE.total_seconds() * 1000)
    stop = threading.Thread(target=worker.stop, args=(grace,), daemon=True)
    stop.start()
    deadline = time.monotonic() + GRACE.total_seconds()
    _release(engine, [job for job in unstarted if job])
    stop.join(max(0.0, deadline - time.monotonic()))


def _release(engine: Engine, unstarted: list[RefreshJob]) -> None:
    try:
        with engine.begin() as connection:
            released = release_claim(connection, unstarted)
    except DATABASE_AWAY:
        _log.warning("claims_not_released", detail="the database did not answer; the leases will expire")
    else:
        _log.info("claims_released", rows=released)


def _job(message: dramatiq.MessageProxy) -> RefreshJob | None:
    try:
        return RefreshJob.parse(message.kwargs.get("account_id"), message.kwargs.get("claims"))
    except ValueError:
        return None
