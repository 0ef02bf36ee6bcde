"""A pooler that takes away what needs a session of its own is reported when a service starts."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import pytest
from sqlalchemy import make_url
from structlog.testing import capture_logs

from shared import database
from shared.settings import SettingsError

_ENCRYPTION_REQUESTS: Final = frozenset({80877103, 80877104})
_AUTHENTICATED: Final = b"R" + struct.pack("!ii", 8, 0)


class TransactionPooler:
    """A pooler in transaction mode: each transaction of a client runs on whichever server connection is idle.

    https://www.postgresql.org/docs/18/protocol-flow.html
    """

    def __init__(self, url: str, servers: int, *, refuses_options: bool) -> None:
        self._target = make_url(url)
        self._servers = servers
        self._refuses_options = refuses_options
        self._idle: list[socket.socket] = []
        self._opened: list[socket.socket] = []
        self._greeting = b""
        self._changed = threading.Condition()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = self._target.set(port=self._listening.getsockname()[1]).render_as_string(
            hide_password=False
        )
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening and end the server connections."""
        self._listening.close()
        for server in self._opened:
            server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            if self._welcome(client):
                while self._relay_transaction(client):
                    pass

    def _welcome(self, client: socket.socket) -> bool:
        startup = _receive(client)
        while struct.unpack("!i", startup[4:8])[0] in _ENCRYPTION_REQUESTS:
            client.sendall(b"N")
            startup = _receive(client)
        if self._refuses_options:
            text = b"SFATAL\0C08P01\0Munsupported startup parameter: options\0\0"
            client.sendall(b"E" + struct.pack("!i", len(text) + 4) + text)
            return False
        if len(self._opened) == self._servers:
            client.sendall(_AUTHENTICATED + self._greeting)
            return True
        server = socket.create_connection((self._target.host, self._target.port))
        self._opened.append(server)
        server.sendall(startup)
        self._greeting = self._authenticate(client, server)
        self._give_back(server)
        return True

    def _authenticate(self, client: socket.socket, server: socket.socket) -> bytes:
        """Relay one client's login, and return what the server says to every client after it."""
        greeting = b""
        while True:
            message = _receive(server, typed=True)
            client.sendall(message)
            if message[:1] == b"R" and struct.unpack("!i", message[5:9])[0] not in {0, 12}:
                server.sendall(_receive(client, typed=True))
            elif message[:1] != b"R":
                greeting += message
            if message[:1] == b"Z":
                return greeting

    def _relay_transaction(self, client: socket.socket) -> bool:
        message = _receive(client, typed=True)
        if message[:1] == b"X":
            return False
        with self._changed:
            self._changed.wait_for(lambda: self._idle)
            server = self._idle.pop(0)
        while True:
            server.sendall(message)
            if message[:1] in b"QS" and self._relay_answer(server, client) == b"I":
                self._give_back(server)
                return True
            message = _receive(client, typed=True)

    def _relay_answer(self, server: socket.socket, client: socket.socket) -> bytes:
        while True:
            message = _receive(server, typed=True)
            client.sendall(message)
            if message[:1] == b"Z":
                return message[5:6]

    def _give_back(self, server: socket.socket) -> None:
        with self._changed:
            self._idle.append(server)
            self._changed.notify()


def _receive(sender: socket.socket, *, typed: bool = False) -> bytes:
    """Return one message whole: its type (none in a login's first one), its length, its content."""
    head = _exactly(sender, 5 if typed else 4)
    return head + _exactly(sender, struct.unpack("!i", head[-4:])[0] - 4)


def _exactly(sender: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        part = sender.recv(size - len(received))
        if not part:
            raise ConnectionResetError
        received += part
    return received


@contextmanager
def pooler(url: str, servers: int = 1, *, refuses_options: bool = False) -> Iterator[str]:
    running = TransactionPooler(url, servers, refuses_options=refuses_options)
    try:
        yield running.url
    finally:
        running.close()


def events_of_check(url: str) -> list[str]:
    engine = database.connect(url, application="tests")
    try:
        with capture_logs() as entries:
            database.check_reachable(engine)
    finally:
        engine.dispose()
    return [entry["event"] for entry in entries]


@pytest.mark.parametrize("servers", [1, 2])
def test_start_warns_of_a_pooler_in_transaction_mode(empty_database_url: str, servers: int) -> None:
    with pooler(empty_database_url, servers) as url:
        assert events_of_check(url) == ["database_sessions_shared"]


def test_start_without_a_pooler_warns_of_nothing(empty_database_url: str) -> None:
    assert events_of_check(empty_database_url) == []


def test_pooler_that_refuses_session_settings_is_named(empty_database_url: str) -> None:
    with (
        pooler(empty_database_url, refuses_options=True) as url,
        pytest.raises(SettingsError, match="refuses the settings of a session: a pooler"),
    ):
        events_of_check(url)
