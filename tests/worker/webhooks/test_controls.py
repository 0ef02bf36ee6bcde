"""Controls: without a safeguard, the same steps break what it protects."""

import secrets
import ssl
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

import httpcore
import pytest

from shared.driver.statement import Statement
from shared.webhooks.urls import parse_networks
from tests.worker.http.test_public_network import Listener
from tests.worker.webhooks.receiver import OK, Request
from tests.worker.webhooks.world import World
from worker.http import public_network
from worker.http.deadline import Deadline, DeadlineBackend
from worker.http.public_network import PublicBackend
from worker.webhooks import messages, records
from worker.webhooks.sender import deliver


def test_frozen_sender_moves_the_position_back_without_the_fence(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = records._SUCCEEDED.sql.replace("AND claim_seq = :claim_seq", "")
    assert without != records._SUCCEEDED.sql
    monkeypatch.setattr(records, "_SUCCEEDED", Statement(without))
    world.publish(2)
    (frozen,) = world.claim()

    def take_over(_request: Request) -> tuple[int, dict[str, str]]:
        world.harness.execute("UPDATE webhook_endpoints SET claim_seq = claim_seq + 1, changed_key = 99")
        return OK

    world.receiver.script = take_over
    deliver(world.context, frozen)

    assert world.row().changed_key != 99


def test_same_content_comes_under_two_ids_when_ids_are_random(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "message_id", lambda *_: f"msg_{secrets.token_hex(8)}")
    world.publish(2)
    (claim,) = world.claim()
    world.receiver.script = lambda _request: (500, {})
    deliver(world.context, claim)
    world.places.release(claim)
    world.harness.execute("UPDATE webhook_endpoints SET rows_allowed = 50, failures = 0, next_run_at = now()")
    world.step()

    first, again = world.receiver.take()
    assert first.changes == again.changes
    assert first.headers["webhook-id"] != again.headers["webhook-id"]


class Unpinned(PublicBackend):
    """Checks the addresses, and then lets the connection resolve the name again."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to whatever the name means now."""
        self._checked(host, port, timeout)
        return DeadlineBackend.connect_tcp(self, host, port, timeout, local_address, socket_options)


@pytest.mark.parametrize(("backend", "connections"), [(PublicBackend, 0), (Unpinned, 1)])
def test_name_that_changes_after_the_check_leads_inside_without_the_pin(
    monkeypatch: pytest.MonkeyPatch, backend: type[PublicBackend], connections: int
) -> None:
    monkeypatch.setattr(public_network, "resolve", lambda *_: [ip_address("127.0.0.9")])
    listener = Listener()
    allowed = parse_networks("127.0.0.9/32")
    with (
        ThreadPoolExecutor(1) as resolvers,
        httpcore.ConnectionPool(
            ssl_context=ssl.create_default_context(),
            network_backend=backend(Deadline(), resolvers, allowed, local_only=False),
        ) as pool,
        suppress(httpcore.ConnectError),
    ):
        pool.request("POST", f"http://localhost:{listener.port}/")
    listener.close()

    assert listener.connections == connections
