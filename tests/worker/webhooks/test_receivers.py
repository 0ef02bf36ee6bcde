"""Receivers that misbehave: a failure of that delivery only, in bounded time, and nothing of it is kept."""

import gzip
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpcore
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.webhooks.endpoints import new_secret
from tests.worker.http.malicious_server import (
    MaliciousServer,
    answers,
    hangs,
    malicious_server,
    resets,
    says,
)
from tests.worker.webhooks.world import LOOPBACK
from worker.http import public_network
from worker.http.deadline import DeadlineBackend
from worker.webhooks import delivery
from worker.webhooks.delivery import Poster
from worker.webhooks.messages import Message
from worker.webhooks.rules import Answer, DeliveryOutcome

MESSAGE = Message("webhook.test", "msg_1", "{}")
HEAD = b"HTTP/1.1 200 OK\r\n"
BOMB = gzip.compress(b"\0" * 20_000_000)


@pytest.fixture
def post(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Answer]]:
    monkeypatch.setattr(delivery, "WHOLE", timedelta(milliseconds=300))
    with Poster(LOOPBACK, 2) as poster:
        yield lambda url: poster.post(url, MESSAGE, [new_secret()])


def trickles_headers(server: MaliciousServer, connection: socket.socket) -> None:
    server.trickle(connection, HEAD + b"x-endless: " + b"a" * 100_000)


def sends_endless_headers(_server: MaliciousServer, connection: socket.socket) -> None:
    connection.sendall(HEAD + b"".join(b"x-%d: a\r\n" % number for number in range(60_000)))


@pytest.mark.parametrize(
    ("behaviour", "outcome"),
    [
        (hangs, DeliveryOutcome.TIMEOUT),
        (trickles_headers, DeliveryOutcome.TIMEOUT),
        (sends_endless_headers, DeliveryOutcome.UNREACHABLE),
        (resets, DeliveryOutcome.UNREACHABLE),
        (says(b"SSH-2.0-OpenSSH\r\n"), DeliveryOutcome.UNREACHABLE),
        (says(b""), DeliveryOutcome.UNREACHABLE),
    ],
)
def test_receiver_that_does_not_answer_properly_is_a_failure_in_bounded_time(
    post: Callable[[str], Answer], behaviour: Any, outcome: DeliveryOutcome
) -> None:
    with malicious_server(behaviour) as server:
        began = time.monotonic()
        answer = post(f"{server.url}/hooks")
        took = time.monotonic() - began

    assert answer.outcome is outcome
    assert took < 5


@pytest.mark.parametrize("headers", [("content-encoding: gzip",), ()])
def test_body_of_an_answer_is_not_read(post: Callable[[str], Answer], headers: tuple[str, ...]) -> None:
    with malicious_server(answers(BOMB, *headers)) as server:
        answer = post(f"{server.url}/hooks")

    assert (answer.outcome, answer.status) == (DeliveryOutcome.DELIVERED, 200)


@contextmanager
def tls_server(configure: Callable[[ssl.SSLContext], None]) -> Iterator[str]:
    """Run a TLS server with a certificate that nobody signed; give its URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load_certificate(context)
    configure(context)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        try:
            connection, _ = listener.accept()
            with connection, context.wrap_socket(connection, server_side=True) as secure:
                secure.recv(1_000)
                secure.sendall(HEAD + b"content-length: 0\r\n\r\n")
        except OSError:
            return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/hooks"
    finally:
        listener.close()
        thread.join(30)


def _load_certificate(context: ssl.SSLContext) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "both.pem"
        path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        context.load_cert_chain(path)


def outdated(context: ssl.SSLContext) -> None:
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
@pytest.mark.parametrize("configure", [lambda _context: None, outdated], ids=["self-signed", "TLS 1.1"])
def test_bad_certificate_and_outdated_tls_are_failures_of_that_delivery(
    post: Callable[[str], Answer], configure: Callable[[ssl.SSLContext], None]
) -> None:
    with tls_server(configure) as url:
        answer = post(url)

    assert (answer.outcome, answer.failure) == (DeliveryOutcome.UNREACHABLE, "ConnectError")


def test_private_address_is_blocked_without_a_packet() -> None:
    with malicious_server(says(b"")) as server, Poster((), 1) as poster:
        answer = poster.post(f"https://127.0.0.1:{server.port}/", MESSAGE, [new_secret()])

        assert (answer.outcome, server.requests) == (DeliveryOutcome.BLOCKED, [])


def test_public_addresses_are_reached_by_https_on_port_443_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    reached: list[tuple[str, int]] = []

    def connect(_backend: object, host: str, port: int, *_: object, **__: object) -> None:
        reached.append((host, port))
        raise httpcore.ConnectError

    monkeypatch.setattr(public_network, "resolve", lambda *_: [ip_address("93.184.216.34")])
    monkeypatch.setattr(DeadlineBackend, "connect_tcp", connect)
    urls = ("https://hooks.example.com/", "http://hooks.example.com/", "https://hooks.example.com:8443/")
    with Poster(LOOPBACK, 1) as poster:
        outcomes = [poster.post(url, MESSAGE, [new_secret()]).outcome for url in urls]

    assert outcomes == [DeliveryOutcome.UNREACHABLE, DeliveryOutcome.BLOCKED, DeliveryOutcome.BLOCKED]
    assert reached == [("93.184.216.34", 443)]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        (b"120", 120),
        (b" 7 ", 7),
        (b"1234567890", None),
        (b"-5", None),
        (b"soon", None),
        (b"Thu, 01 Jan 2026 00:00:00 GMT", 0),
        (b"Fri, 01 Jan 2100 00:01:40 GMT", 100),
        (b"Fri, 01 Jan 2100 00:01:40 -0000", 100),
    ],
)
def test_retry_after_is_seconds_or_an_instant(
    monkeypatch: pytest.MonkeyPatch, header: bytes | None, seconds: int | None
) -> None:
    class Clock(datetime):
        """The clock of the sender."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Clock":
            return cls(2100, 1, 1, tzinfo=tz)

    monkeypatch.setattr(delivery, "datetime", Clock)

    assert delivery._retry_after(header) == (None if seconds is None else timedelta(seconds=seconds))
