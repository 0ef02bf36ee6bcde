"""Deliveries reach checked addresses only: a name that leads into our network gets not a packet."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any

import httpcore
import pytest

from shared.webhooks.urls import parse_networks
from worker.http import public_network
from worker.http.deadline import Deadline
from worker.http.public_network import AddressBlockedError, PublicBackend

LOOPBACK = parse_networks("127.0.0.0/8")


@contextmanager
def pool(*allowed: Any, local_only: bool = False, deadline: Deadline | None = None) -> Iterator[Any]:
    with (
        ThreadPoolExecutor(2) as resolvers,
        httpcore.ConnectionPool(
            ssl_context=ssl.create_default_context(),
            network_backend=PublicBackend(deadline or Deadline(), resolvers, allowed, local_only=local_only),
        ) as opened,
    ):
        yield opened


class Listener:
    """A server on loopback that counts connections and answers each request with 204."""

    def __init__(self, answer: Callable[[socket.socket], None] | None = None) -> None:
        self.connections = 0
        self._answer = answer or self._no_content
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                self._answer(connection)
            except OSError:
                return

    @staticmethod
    def _no_content(connection: socket.socket) -> None:
        while connection.recv(65_536):
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    running = Listener()
    yield running
    running.close()


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Let names resolve to these addresses in turn; return the list of names that were looked up."""
    requested: list[str] = []

    def resolve(host: str, _port: int) -> list[Any]:
        requested.append(host)
        return [ip_address(one) for one in answers[min(len(requested), len(answers)) - 1]]

    monkeypatch.setattr(public_network, "resolve", resolve)
    return requested


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["93.184.215.14", "127.0.0.1"], ["127.0.0.1", "93.184.215.14"], ["::1"]]
)
def test_name_with_any_private_address_is_blocked_before_a_packet_is_sent(
    monkeypatch: pytest.MonkeyPatch, listener: Listener, addresses: list[str]
) -> None:
    resolving(monkeypatch, addresses)

    with pool() as http, pytest.raises(AddressBlockedError):
        http.request("POST", f"http://hooks.example.com:{listener.port}/")

    assert listener.connections == 0


def test_connection_goes_to_the_address_that_was_checked(
    monkeypatch: pytest.MonkeyPatch, listener: Listener
) -> None:
    """A name that changes between check and connection changes nothing: it is resolved once."""
    requested = resolving(monkeypatch, ["127.0.0.1"], ["127.0.0.9"])

    with pool(*LOOPBACK) as http:
        response = http.request("POST", f"http://hooks.example.com:{listener.port}/")

    assert (response.status, requested, listener.connections) == (204, ["hooks.example.com"], 1)


def test_public_address_is_refused_where_only_allowed_networks_may_be_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolving(monkeypatch, ["93.184.215.14"])

    with pool(*LOOPBACK, local_only=True) as http, pytest.raises(AddressBlockedError):
        http.request("POST", "http://hooks.example.com/")


def test_lookup_that_hangs_ends_with_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(public_network, "resolve", lambda *_: released.wait(20) or [])
    deadline = Deadline()

    with pool(deadline=deadline) as http:
        with deadline.within(timedelta(milliseconds=50)), pytest.raises(httpcore.ConnectTimeout):
            http.request("POST", "http://hooks.example.com/")
        released.set()


def test_connection_is_used_again_until_it_is_too_old(
    monkeypatch: pytest.MonkeyPatch, listener: Listener
) -> None:
    resolving(monkeypatch, ["127.0.0.1"])
    now = [time.monotonic()]
    monkeypatch.setattr("worker.http.public_network.time.monotonic", lambda: now[0])
    url = f"http://hooks.example.com:{listener.port}/"

    with pool(*LOOPBACK) as http:
        for _ in range(3):
            http.request("POST", url)
        assert listener.connections == 1
        now[0] += 31
        http.request("POST", url)

    assert listener.connections == 2


def test_name_without_an_address_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, [])

    with pool() as http, pytest.raises(httpcore.ConnectError):
        http.request("POST", "http://hooks.example.com/")


def test_connection_lives_for_half_a_minute_from_its_opening_and_not_from_its_handshake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = SimpleNamespace(at=1_000.0)
    inner: Any = SimpleNamespace(start_tls=lambda *_: inner, get_extra_info=lambda info: f"its {info}")
    monkeypatch.setattr(public_network, "time", SimpleNamespace(monotonic=lambda: clock.at))
    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", lambda *_: inner)
    with ThreadPoolExecutor(1) as resolvers:
        backend = PublicBackend(Deadline(), resolvers, LOOPBACK, local_only=False)
        stream = backend.connect_tcp("127.0.0.1", 443)
    clock.at = 1_020
    secure = stream.start_tls(ssl.create_default_context())

    seen = []
    for clock.at in (1_030, 1_030.1):
        seen += [
            (one.get_extra_info("is_readable"), one.get_extra_info("socket")) for one in (stream, secure)
        ]

    assert seen == [("its is_readable", "its socket")] * 2 + [(True, "its socket")] * 2
