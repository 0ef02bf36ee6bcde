"""The actors: they parse a message and call `worker.refresh.refresh` or a renewal, nothing else."""

from collections.abc import Callable
from functools import partial
from typing import Any

import dramatiq
import structlog

from shared.observability import tracing
from shared.refresh_queue import ACTORS, RENEW_ACTOR, RefreshJob
from shared.vocabulary import Lane

_PRIORITY = {Lane.INTERACTIVE: 0, Lane.BACKGROUND: 10}
_log = structlog.get_logger(__name__)


def register(
    broker: dramatiq.Broker, run: Callable[[RefreshJob, Lane], None], renew: Callable[[str], None]
) -> None:
    """Declare the actors of both lanes, which call ``run`` with their lane, and one that calls ``renew``.

    A message that is no refresh job is logged and dropped: a row that it may have named is due again when the
    lease expires. An exception of ``run`` is logged by dramatiq and not retried, for the same reason.
    """

    def on_refresh(
        lane: Lane, account_id: Any = None, claims: Any = None, traceparent: Any = None, **unknown: Any
    ) -> None:
        try:
            job = RefreshJob.parse(account_id, claims)
        except ValueError as error:
            _log.warning("message_dropped", detail=str(error), unknown=sorted(unknown))
            return
        parent = traceparent if isinstance(traceparent, str) else None
        with tracing.span("refresh", parent=parent, account_id=job.account_id, rows=len(job.claims)):
            run(job, lane)

    def on_renewal(account_id: Any = None, **unknown: Any) -> None:
        if not isinstance(account_id, str):
            _log.warning("message_dropped", detail="a renewal without an account", unknown=sorted(unknown))
            return
        renew(account_id)

    for lane in Lane:
        declare = dramatiq.actor(
            actor_name=ACTORS[lane], queue_name=lane.value, priority=_PRIORITY[lane], broker=broker
        )
        declare(partial(on_refresh, lane))
    declare = dramatiq.actor(
        actor_name=RENEW_ACTOR,
        queue_name=Lane.BACKGROUND.value,
        priority=_PRIORITY[Lane.BACKGROUND],
        broker=broker,
    )
    declare(on_renewal)
