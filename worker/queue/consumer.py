"""A broker whose consumers survive any message.

A message that dramatiq's consumer cannot decode blocks everything fetched with it until the process ends, and
some options of a message end the thread that runs it. This broker delivers only messages that our producers
made; any other message is removed from Redis, alone.
"""

from contextlib import suppress
from typing import Any

import dramatiq
import redis
import structlog
from dramatiq.brokers.redis import RedisBroker
from dramatiq.errors import DecodeError

from shared.observability import failpoints
from shared.redis_client import RedisClient
from shared.refresh_queue import NAMESPACE, broker_options, report_low
from shared.vocabulary import Lane

_log = structlog.get_logger(__name__)
_OUR_OPTIONS = {"redis_message_id"}
_MAX_SCANNED = 10_000


class _SturdyBroker(RedisBroker):
    _took_all = True
    """Whether the last fetch of background jobs emptied the queue, which has been reported then."""

    def do_fetch(self, queue_name: str, count: int) -> list[bytes | None]:
        fetched = self._dispatch("fetch")(queue_name, count)  # type: ignore[no-untyped-call] # RedisBroker is untyped
        if queue_name == Lane.BACKGROUND.value:
            self._report_low(emptied=len(fetched) < count, took=bool(fetched))
        return [data for data in fetched if data is None or self._is_ours(queue_name, data)]

    def _report_low(self, *, emptied: bool, took: bool) -> None:
        """Report once that the queue is empty; an idle fleet, which takes nothing, reports nothing."""
        if emptied and (took or not self._took_all):
            with suppress(redis.RedisError):  # the next tick refills the queue
                report_low(self.client)
        self._took_all = emptied

    def do_ack(self, queue_name: str, message_id: str | bytes) -> None:
        self._dispatch("ack")(queue_name, message_id)  # type: ignore[no-untyped-call] # the same
        failpoints.hit("acknowledged")

    def _is_ours(self, queue_name: str, data: bytes) -> bool:
        try:
            message: dramatiq.Message[None] = dramatiq.Message.decode(data)
        except DecodeError:
            deliverable = False
        else:
            deliverable = _deliverable(message, queue_name)
        if not deliverable:
            _log.warning("message_dropped", queue=queue_name, detail="not a message of our producers")
            self._drop(queue_name, data)
        return deliverable

    def _drop(self, queue_name: str, data: bytes) -> None:
        """Acknowledge by content: the id of a message that cannot be decoded is unknown."""
        for number, (key, value) in enumerate(self.client.hscan_iter(f"{NAMESPACE}:{queue_name}.msgs")):
            if value == data:
                self.do_ack(queue_name, key)
            if number >= _MAX_SCANNED:
                return


def _deliverable(message: dramatiq.Message[Any], queue_name: str) -> bool:
    return (
        message.queue_name == queue_name
        and isinstance(message.actor_name, str)
        and isinstance(message.message_id, str)
        and type(message.message_timestamp) is int
        and message.args == ()
        and isinstance(message.kwargs, dict)
        and isinstance(message.options, dict)
        and message.options.keys() <= _OUR_OPTIONS
        and isinstance(message.options.get("redis_message_id"), str)
    )


def consuming_broker(client: RedisClient) -> RedisBroker:
    """Return a broker for one `dramatiq.Worker`, its queues declared."""
    broker = _SturdyBroker(client=client, **broker_options())  # type: ignore[no-untyped-call] # the same
    for lane in Lane:
        broker.declare_queue(lane.value)
    return broker
