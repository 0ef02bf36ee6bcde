"""Webhook deliveries as operations: claim, delivery with each answer, and changes by operators."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, cast

import psycopg
from pydantic import SecretStr
from sqlalchemy import Connection, Engine

from shared.webhooks import deliveries, endpoints
from shared.webhooks.endpoints import Endpoint
from tests.interleavings.engine.explorer import Run
from tests.interleavings.model.environment import Environment, operation
from tests.interleavings.model.world import WORKSPACE
from worker.webhooks import claims
from worker.webhooks.claims import Claim, Places
from worker.webhooks.delivery import Poster
from worker.webhooks.messages import Message
from worker.webhooks.rules import Answer, DeliveryOutcome
from worker.webhooks.sender import SenderContext, deliver

ENDPOINT: Final = "whe_1"
_CLAIM: Final = Claim(ENDPOINT, WORKSPACE, 5, "receiver.test", slow=False)
"""A claim whose lease has ended: its sender still delivers, and another sender may claim the endpoint."""


class _FakePoster:
    """Answers every delivery with one status and keeps what it was sent."""

    def __init__(self, environment: Environment, status: int) -> None:
        self._received = environment.received
        self._status = status

    def post(self, _url: str, message: Message, _secrets: Sequence[SecretStr]) -> Answer:
        """Return the answer."""
        if self._status == 200:
            self._received.update(message.subjects)
            return Answer(DeliveryOutcome.DELIVERED, 0.1, 200)
        outcome = DeliveryOutcome.GONE if self._status == 410 else DeliveryOutcome.REFUSED
        return Answer(outcome, 0.1, self._status)


def _context(environment: Environment, engine: Engine, status: int) -> SenderContext:
    poster = cast(Poster, _FakePoster(environment, status))
    return SenderContext(
        engine, environment.harness.context.vault, poster, timedelta(days=30), disable_days=5
    )


def _deliver(status: int, environment: Environment, engine: Engine) -> Any:
    return deliver(_context(environment, engine, status), _CLAIM)


def _claim_and_deliver(environment: Environment, engine: Engine) -> None:
    """Do what another sender does: probe, claim, deliver."""
    with engine.begin() as connection:
        claims.probe(connection)
    with engine.begin() as connection:
        claimed = claims.claim(connection, Places(4))
    for one in claimed:
        deliver(_context(environment, engine, 200), one)


def _changed_by_operator(
    change: Callable[[Connection, Endpoint, Environment], Any], environment: Environment, engine: Engine
) -> Any:
    with suppress(endpoints.EndpointError), engine.begin() as connection:  # it may have been removed
        return change(connection, endpoints.find(connection, ENDPOINT), environment)
    return None


def _redeliver(connection: Connection, endpoint: Endpoint, environment: Environment) -> None:
    deliveries.redeliver_since(connection, endpoint, datetime.now(UTC) - timedelta(hours=1))
    environment.received.clear()


def _disable(connection: Connection, endpoint: Endpoint, _environment: Environment) -> None:
    endpoints.disable(connection, endpoint, "explored")


def _enable(connection: Connection, endpoint: Endpoint, _environment: Environment) -> None:
    endpoints.enable(connection, endpoint)


def _rotate(connection: Connection, endpoint: Endpoint, environment: Environment) -> SecretStr:
    return endpoints.rotate(connection, environment.harness.context.vault, endpoint, timedelta(hours=1))


def _remove(connection: Connection, endpoint: Endpoint, _environment: Environment) -> None:
    endpoints.remove(connection, endpoint)


def _release(_environment: Environment, engine: Engine) -> None:
    with engine.begin() as connection:
        claims.release_all(connection, [_CLAIM])


DELIVERIES: Final = [
    operation("deliver", partial(_deliver, 200), "delivering"),
    operation("deliver_refused", partial(_deliver, 500), "delivering"),
    operation("deliver_gone", partial(_deliver, 410), "delivering"),
    operation("claim_endpoint", _claim_and_deliver, "delivering"),
    operation("redeliver", partial(_changed_by_operator, _redeliver), "delivering"),
    operation("disable_endpoint", partial(_changed_by_operator, _disable), "delivering"),
    operation("enable_endpoint", partial(_changed_by_operator, _enable), "delivering"),
    operation("remove_endpoint", partial(_changed_by_operator, _remove), "delivering"),
    operation("deliver_later", _release, "delivering"),
    operation("rotate_endpoint_secret", partial(_changed_by_operator, _rotate), "delivering"),
]

_PASSED: Final = """
SELECT c.publication_id::text FROM changes c JOIN webhook_endpoints e USING (workspace_id)
 WHERE (c.changed_in, c.publication_id) <= (e.changed_in, e.changed_key)
"""
_ENDPOINTS: Final = """
SELECT format('endpoint %s is %s, next run %s, claim %s', endpoint_id, state, next_run_at, claim_seq)
  FROM webhook_endpoints WHERE (state = 'disabled' AND next_run_at IS NOT NULL) OR claim_seq < 5
"""


def delivery_breaches(connection: psycopg.Connection, environment: Environment, run: Run) -> list[str]:
    """Return rows passed over without a delivery, a wrong next run, and the loss of a newer secret."""
    passed = {row[0] for row in connection.execute(_PASSED)}
    sentences = [f"no change is passed over: row {one}" for one in sorted(passed - environment.received)]
    rotated = [result.get_secret_value() for result in run.results if isinstance(result, SecretStr)]
    if rotated:
        vault = environment.harness.context.vault
        secrets = connection.execute("SELECT sealed_secret FROM webhook_endpoints").fetchall()
        newest = all(vault.open(one).get_secret_value() in rotated for (one,) in secrets)
        sentences += (
            [] if newest else ["no newer secret is lost: the endpoint has the one before its rotation"]
        )
    return sentences + [
        f"a disabled endpoint has no next run: {row[0]}" for row in connection.execute(_ENDPOINTS)
    ]
