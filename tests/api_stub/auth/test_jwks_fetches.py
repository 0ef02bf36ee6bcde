"""One fetch of an issuer's keys: over a trusted connection, bounded in size and time, never redirected."""

import asyncio
import json
import ssl
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from api_stub.auth import jwks
from tests import issuer as issuers
from tests.issuer import Issuer, published
from tests.worker.http.malicious_server import MaliciousServer, answers, malicious_server

DOCUMENT = json.dumps({"keys": [published("ES256", "k")]}).encode()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """Run an issuer."""
    with issuers.issuer() as running:
        yield running


async def fetched(url: str) -> bool:
    """Return whether a fetch from this address brings the key."""
    key_set = jwks.KeySet(url)
    await key_set._refetch()
    return bool(key_set._keys)


def test_document_larger_than_a_megabyte_is_not_used() -> None:
    for size, used in ((1_000_000, True), (1_000_001, False)):
        with malicious_server(answers(DOCUMENT.ljust(size))) as server:
            assert asyncio.run(fetched(server.url)) is used


@pytest.mark.parametrize(
    ("status", "header"),
    [
        ("500 Sorry", "x-none: 1"),
        ("204 No Content", "x-none: 1"),
        ("200 OK", "content-encoding: identity"),
    ],
)
def test_other_status_or_an_encoding_is_no_document(status: str, header: str) -> None:
    with malicious_server(answers(DOCUMENT, header, status=status)) as server:
        assert not asyncio.run(fetched(server.url))


@pytest.mark.parametrize("document", [b"no JSON", b"[" * 100_000])
def test_body_that_is_no_document_is_not_used(document: bytes) -> None:
    with malicious_server(answers(document)) as server:
        assert not asyncio.run(fetched(server.url))


def test_failed_fetch_is_repeated_sooner_than_keys_are_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwks, "_RETRY_AFTER", timedelta(milliseconds=5))
    monkeypatch.setattr(jwks, "FETCH_AGAIN_AFTER", timedelta(milliseconds=1))

    async def scenario(server: MaliciousServer) -> None:
        running = asyncio.create_task(jwks.KeySet(server.url).run())
        async with asyncio.timeout(30):
            while len(server.requests) < 3:
                await asyncio.sleep(0.005)
        running.cancel()
        await asyncio.wait({running})

    with malicious_server(answers(b"", status="500 Sorry")) as server:
        asyncio.run(scenario(server))


def test_redirect_is_not_followed(issuer: Issuer) -> None:
    issuer.publish("k")
    with malicious_server(answers(b"", f"location: {issuer.url}", status="302 Found")) as server:
        assert not asyncio.run(fetched(server.url))
    assert issuer.requests == 0


def test_document_that_arrives_byte_by_byte_ends_the_fetch_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwks, "FETCH_SECONDS", 0.2)

    def trickles(server: MaliciousServer, connection: object) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n"
        server.trickle(connection, head + b" " * 1_000)  # type: ignore[arg-type]  # a socket

    with malicious_server(trickles) as server:
        began = time.monotonic()
        assert not asyncio.run(fetched(server.url))
        assert time.monotonic() - began < 10


def test_issuer_is_trusted_by_the_certificates_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = issuers.certificate(tmp_path)
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificate)
    with issuers.issuer(served) as running:
        running.publish("k")
        assert not asyncio.run(fetched(running.url))
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        key_set = jwks.KeySet(running.url)
        monkeypatch.delenv("SSL_CERT_FILE")
        asyncio.run(key_set._refetch())

    assert [key.key_id for key in key_set._keys] == ["k"]


def test_fetch_under_way_is_cancelled_with_the_service(issuer: Issuer) -> None:
    issuer.answers.clear()

    async def scenario() -> bool:
        key_set = jwks.KeySet(issuer.url)
        running = asyncio.create_task(key_set.run())
        while issuer.requests == 0:
            await asyncio.sleep(0)
        fetch = key_set._fetch
        assert fetch is not None
        running.cancel()
        await asyncio.wait({running, fetch}, timeout=30)
        return fetch.cancelled()

    assert asyncio.run(scenario())
