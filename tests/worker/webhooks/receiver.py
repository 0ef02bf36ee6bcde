"""A receiver of webhooks on loopback that answers by a script and records every request."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from standardwebhooks import Webhook

Headers = dict[str, str]
Script = Callable[["Request"], "tuple[int, Headers]"]
OK: Final[tuple[int, Headers]] = (204, {})


@dataclass(frozen=True)
class Request:
    """One delivery as it arrived."""

    headers: Headers
    raw: bytes

    @property
    def body(self) -> Any:
        """The JSON."""
        return json.loads(self.raw)

    @property
    def changes(self) -> list[Any]:
        """Its changes."""
        return list(self.body["data"].get("changes", []))

    @property
    def ids(self) -> list[str]:
        """What its changes are about."""
        return [one.get("publication_id") or one["account"]["account_id"] for one in self.changes]

    def verify(self, secret: str) -> Any:
        """Verify the signature as a receiver does. Raises what the library raises."""
        return Webhook(secret).verify(self.raw, self.headers)


@dataclass
class Receiver:
    """A running receiver."""

    url: str
    script: Script = lambda _request: OK
    requests: list[Request] = field(default_factory=list)
    trickle: float = 0.0
    """Seconds between two bytes of an answer; 0: it comes at once."""

    def take(self) -> list[Request]:
        """Return the requests since the last call."""
        requests, self.requests = self.requests, []
        return requests


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Run a receiver on loopback."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["content-length"]))
            request = Request({name.lower(): value for name, value in self.headers.items()}, raw)
            status, headers = running.script(request)
            running.requests.append(request)
            if running.trickle:
                self.close_connection = True
                with suppress(ConnectionError):  # the sender gives up
                    for byte in b"HTTP/1.1 204 No Content":
                        self.wfile.write(bytes([byte]))
                        released.wait(running.trickle)
                return
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
            pass

    released = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    running = Receiver(f"http://127.0.0.1:{server.server_address[1]}/hooks?key=hidden")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        released.set()
        server.shutdown()
        thread.join()
        server.server_close()
