"""The timeline of attempts: those that brought no numbers are logged with worker, duration and request id."""

from collections.abc import Sequence

from sqlalchemy import Connection

from shared import attempt_log
from worker.context import RefreshRun, WorkerContext
from worker.outcomes.outcome import Outcome


def log_attempts(
    connection: Connection, recorded: Sequence[Outcome], run: RefreshRun, context: WorkerContext
) -> None:
    """Log the recorded outcomes that brought no numbers; without any, this costs nothing."""
    attempts = [
        (outcome.row.publication.id, outcome.outcome.value, outcome.detail)
        for outcome in recorded
        if not outcome.completed
    ]
    attempt_log.store(
        connection,
        attempts,
        seconds=context.clock.monotonic() - run.began,
        worker=context.worker_id,
        request_id=run.request_id,
    )
