"""An issuer of dashboard tokens over HTTP: it publishes keys, counts requests, and can stop answering."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from json import dumps
from pathlib import Path
from threading import Event, Thread
from time import time
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

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


def certificate(directory: Path) -> Path:
    """Write a key and a certificate for 127.0.0.1 that nobody else signed; return the file of both."""
    key = KEYS["ES256"]
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = directory / "both.pem"
    path.write_bytes(private + made.public_bytes(Encoding.PEM))
    return path


@contextmanager
def issuer(tls: ssl.SSLContext | None = None) -> Iterator[Issuer]:
    """Run an issuer on loopback; ``tls``: what it proves its identity with over HTTPS."""
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
        running.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}/jwks.json"
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield running
        finally:
            running.answers.set()
            server.shutdown()
            thread.join()
