"""A loopback server that sends malformed HTTP, which a real server library would not send."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class MaliciousServer:
    """Answers every connection's first request with ``behaviour`` and closes; keeps the requests' heads."""

    behaviour: Callable[["MaliciousServer", socket.socket], None]
    requests: list[bytes] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    @property
    def port(self) -> int:
        """The port that it listens on."""
        port: int = self.listener.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}"

    def run(self) -> None:
        """Serve one connection after another until the listener is shut down."""
        with suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                with connection, suppress(OSError):
                    connection.settimeout(5)
                    self.requests.append(connection.recv(65_536))
                    self.reached.set()
                    self.behaviour(self, connection)

    def trickle(self, connection: socket.socket, content: bytes, every: float = 0.02) -> None:
        """Send one byte at a time until all is sent, the client closes or the test ends."""
        for place in range(len(content)):
            connection.sendall(content[place : place + 1])
            if self.over.wait(every):
                return


@contextmanager
def malicious_server(
    behaviour: Callable[[MaliciousServer, socket.socket], None],
) -> Iterator[MaliciousServer]:
    """Run a `MaliciousServer` server for a test."""
    server = MaliciousServer(behaviour)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        with suppress(OSError):
            server.listener.shutdown(socket.SHUT_RDWR)
        server.listener.close()
        thread.join(timeout=30)
        assert not thread.is_alive()


def says(content: bytes) -> Callable[[MaliciousServer, socket.socket], None]:
    """Return a function that sends ``content`` and closes."""
    return lambda _server, connection: connection.sendall(content)


def answers(
    body: bytes, *headers: str, status: str = "200 OK"
) -> Callable[[MaliciousServer, socket.socket], None]:
    """Return a function that sends a well-formed answer."""
    head = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close", *headers]
    return says("\r\n".join(head).encode() + b"\r\n\r\n" + body)


def hangs(server: MaliciousServer, _connection: socket.socket) -> None:
    """Send nothing until the test ends."""
    server.over.wait(60)


def resets(_server: MaliciousServer, connection: socket.socket) -> None:
    """Cut the connection with a TCP reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
