"""An issuer of dashboard tokens over HTTP: it publishes keys, counts requests, and can stop answering."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from json import dumps
from threading import Event, Thread
from time import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

AUDIENCE = "dashboard"
KEYS: dict[str, Any] = {
    "RS256": rsa.generate_private_key(65_537, 2_048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


@dataclass
class Issuer:
    """A running issuer."""

    url: str = ""
    keys: list[dict[str, Any]] = field(default_factory=list)
    """The keys that its document holds."""
    requests: int = 0
    """Requests for the document, answered or not."""
    answers: Event = field(default_factory=Event)
    """Requests are accepted but not answered while it is not set."""

    def publish(self, *key_ids: str, algorithm: str = "ES256") -> None:
        """Replace the document: one key under each of these ids."""
        self.keys = [published(algorithm, key_id) for key_id in key_ids]


def published(algorithm: str, key_id: str) -> dict[str, Any]:
    """Return the public half of a key as a JWKS document holds it."""
    public: dict[str, Any] = jwt.get_algorithm_by_name(algorithm).to_jwk(
        KEYS[algorithm].public_key(), as_dict=True
    )
    return {**public, "kid": key_id, "use": "sig"}


def token(key_id: str, algorithm: str = "ES256", **claims: Any) -> str:
    """Return a valid token of workspace ``ws_1`` that names a key."""
    body = {"workspace_id": "ws_1", "exp": int(time()) + 600, "aud": AUDIENCE, **claims}
    return jwt.encode(body, KEYS[algorithm], algorithm, headers={"kid": key_id})


@contextmanager
def issuer() -> Iterator[Issuer]:
    """Run an issuer on loopback."""
    running = Issuer()
    running.answers.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            running.requests += 1
            running.answers.wait()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(dumps({"keys": running.keys}).encode())

        def handle(self) -> None:
            with suppress(OSError):  # the client has closed the connection meanwhile
                super().handle()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        running.url = f"http://127.0.0.1:{server.server_port}/jwks.json"
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield running
        finally:
            running.answers.set()
            server.shutdown()
            thread.join()
