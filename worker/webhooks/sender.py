"""The sender: one thread claims endpoints, others deliver; any number of senders may run."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

import structlog
from sqlalchemy import Connection, Engine, text

from shared.accounts.vault import SealError, Vault
from shared.database import DATABASE_AWAY
from shared.observability import failpoints, webhook_metrics
from worker.webhooks import claims, records
from worker.webhooks.claims import Claim, LoadedEndpoint, Places
from worker.webhooks.delivery import Poster
from worker.webhooks.messages import Message
from worker.webhooks.rules import Answer, DeliveryOutcome
from worker.webhooks.upcoming import Upcoming, upcoming

ALIVE_EVERY: Final = timedelta(seconds=5)
CLEAN_EVERY: Final = timedelta(minutes=10)
_GATHER: Final = timedelta(milliseconds=20)
"""How long deliveries end before their places are claimed together: a claim costs as much as a delivery."""

_log = structlog.get_logger(__name__)

_ALIVE: Final = text("""
INSERT INTO webhook_senders (sender_id, seen_at) VALUES (:sender_id, now())
    ON CONFLICT (sender_id) DO UPDATE SET seen_at = now()
""")
_GONE: Final = text("DELETE FROM webhook_senders WHERE sender_id = :sender_id")
_CLEAN: Final = (
    text("DELETE FROM webhook_senders WHERE seen_at < now() - interval '1 minute'"),
    text("DELETE FROM webhook_deliveries WHERE delivered_at < now() - interval '7 days'"),
    text("DELETE FROM webhook_notices WHERE created_at < now() - interval '7 days'"),
    text("""
    UPDATE webhook_endpoints SET sealed_former_secret = NULL, former_secret_until = NULL
     WHERE former_secret_until <= now()
    """),
)


@dataclass(frozen=True, slots=True)
class SenderContext:
    """The collaborators of a sender."""

    engine: Engine
    vault: Vault
    poster: Poster
    keep: timedelta
    """How old a position may be (``DRAVO_CHANGES_KEEP_DAYS``)."""
    disable_days: int


class Sender:
    """Claims endpoints and delivers to them with a number of threads."""

    def __init__(self, context: SenderContext, sender_id: str, concurrency: int) -> None:
        self._context = context
        self._sender_id = sender_id
        self._places = Places(concurrency)
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="delivery")
        self._probe_every = claims.PROBE_EVERY
        self._done_at = dict.fromkeys(("probe", "alive", "clean"), float("-inf"))
        self._not_started: list[Claim] = []

    def step(self) -> None:
        """Do what is due: report that it is alive, probe for news, claim what has free places."""
        try:
            self._housekeep()
            self._claim()
        except DATABASE_AWAY as error:
            _log.warning("database_unreachable", detail=type(error.orig).__name__)

    def wait(self) -> None:
        """Wait until deliveries end or the next probe is due."""
        if self._wake.wait(claims.PROBE_EVERY.total_seconds()):
            time.sleep(_GATHER.total_seconds())
        self._wake.clear()

    def close(self) -> None:
        """Let deliveries under way end, give the others back, and report that this sender is gone."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        try:
            with self._context.engine.begin() as connection:
                claims.release_all(connection, self._not_started)
                connection.execute(_GONE, {"sender_id": self._sender_id})
        except DATABASE_AWAY as error:  # the leases and the entry expire by themselves
            _log.warning("database_unreachable", detail=type(error.orig).__name__)

    def _housekeep(self) -> None:
        engine = self._context.engine
        if self._is_due("alive", ALIVE_EVERY):
            with engine.begin() as connection:
                connection.execute(_ALIVE, {"sender_id": self._sender_id})
        if self._is_due("clean", CLEAN_EVERY):
            for statement in _CLEAN:
                with engine.begin() as connection:
                    connection.execute(statement)
        if self._is_due("probe", self._probe_every):
            began = time.monotonic()
            with engine.begin() as connection:
                claims.probe(connection, self._probe_every)
            took = timedelta(seconds=time.monotonic() - began)
            self._probe_every = max(claims.PROBE_EVERY, took * claims.PROBE_RESTS)

    def _is_due(self, what: str, every: timedelta) -> bool:
        now = time.monotonic()
        if now - self._done_at[what] < every.total_seconds():
            return False
        self._done_at[what] = now
        return True

    def _claim(self) -> None:
        while True:
            with self._lock, self._context.engine.begin() as connection:
                claimed = claims.claim(connection, self._places)
            failpoints.hit("endpoint_claimed")
            for claim in claimed:
                future = self._threads.submit(deliver, self._context, claim)
                future.add_done_callback(partial(self._ended, claim))
            if not claimed:
                return

    def _ended(self, claim: Claim, done: "Future[bool]") -> None:
        with self._lock:
            self._places.release(claim)
        if done.cancelled():
            self._not_started.append(claim)
        elif (error := done.exception()) is not None:
            # The lease ends, and the endpoint is due again.
            _log.error("delivery_failed", endpoint_id=claim.endpoint_id, error=type(error).__name__)
        self._wake.set()


def deliver(context: SenderContext, claim: Claim) -> bool:
    """Deliver once to a claimed endpoint, and record how that ended; return whether a message was sent."""
    began = time.monotonic()
    with context.engine.begin() as connection:
        endpoint = claims.load(connection, claim)
        if endpoint is None:
            return False
        sent = upcoming(connection, endpoint, context.keep)
        if sent.message is None:
            _move(connection, endpoint, sent)
            return False
    try:
        secrets = [context.vault.open(one) for one in endpoint.sealed_secrets]
    except SealError:
        answer = Answer(DeliveryOutcome.UNREACHABLE, 0.0, failure="SealError")
    else:
        answer = context.poster.post(endpoint.url, sent.message, secrets)
    failpoints.hit("sent")
    with context.engine.begin() as connection:
        stands = records.record(connection, endpoint, sent, answer, context.disable_days)
    age = _age(endpoint, sent.message, time.monotonic() - began)
    _count(endpoint, sent.message, answer, age, fenced=not stands)
    return True


def _move(connection: Connection, endpoint: LoadedEndpoint, sent: Upcoming) -> None:
    if sent.expired:
        records.start_over(connection, endpoint.claim)
    elif sent.refused is not None:
        records.forget_refused(connection, endpoint.claim, sent.refused)
    elif sent.batch is not None:
        records.move(connection, endpoint.claim, sent.batch.cursor, more=sent.batch.has_more)


def _age(endpoint: LoadedEndpoint, message: Message, took: float) -> float | None:
    """Return the seconds since the oldest change of a message, by the database's clock.

    ``took``: the seconds since the endpoint was loaded.
    """
    if message.oldest_change is None:
        return None
    return max(0.0, (endpoint.loaded_at - message.oldest_change).total_seconds() + took)


def _count(
    endpoint: LoadedEndpoint, message: Message, answer: Answer, age: float | None, *, fenced: bool
) -> None:
    webhook_metrics.DELIVERIES.labels(answer.outcome.value).inc()
    webhook_metrics.SECONDS.observe(answer.seconds)
    if answer.outcome is DeliveryOutcome.DELIVERED:
        webhook_metrics.CHANGES.inc(message.rows)
        if age is not None:
            webhook_metrics.LAG_SECONDS.observe(age)
    report = _log.debug if answer.outcome is DeliveryOutcome.DELIVERED else _log.info
    report(
        "webhook_delivered" if answer.outcome is DeliveryOutcome.DELIVERED else "webhook_not_delivered",
        endpoint_id=endpoint.recipient.endpoint_id,
        type=message.type,
        rows=message.rows,
        outcome=answer.outcome.value,
        status=answer.status,
        detail=answer.failure,
        fenced=fenced,
    )
