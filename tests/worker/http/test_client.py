"""A call ends within its bounds whatever a platform sends, by an answer or TryAgain; no secret leaks."""

import gzip
import socket
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from tests.worker.http.calls import LARGEST, TIGHT, get
from tests.worker.http.malicious_server import MaliciousServer, answers, hangs, malicious_server, resets, says
from worker.errors import TryAgain
from worker.http.client import Client

GENEROUS = replace(TIGHT, read=timedelta(seconds=60), whole=timedelta(seconds=60))
SLACK_SECONDS = 20
"""How much longer than its bound a call may take on a busy machine; the servers would continue far longer."""
Behaviour = Callable[[MaliciousServer, socket.socket], None]


def slow_headers(server: MaliciousServer, connection: socket.socket) -> None:
    server.trickle(connection, b"HTTP/1.1 200 OK\r\n" + b"x-more: 1\r\n" * 500)


def slow_body(server: MaliciousServer, connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n")
    server.trickle(connection, b"1" * 5000)


def slow_refusal(server: MaliciousServer, connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 5000\r\n\r\n")
    server.trickle(connection, b"1" * 5000)


def endless(server: MaliciousServer, connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while not server.over.is_set():
        connection.sendall(b"1" * 65_536)


def endless_headers(server: MaliciousServer, connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not server.over.is_set():
        connection.sendall(b"x-more: 1\r\n" * 6000)


TIMES_OUT: dict[str, Behaviour] = {"hangs": hangs, "slow headers": slow_headers, "slow body": slow_body}
BREAKS_OFF: dict[str, Behaviour] = {
    "reset": resets,
    "closed": says(b""),
    "half a status line": says(b"HTTP/1.1 2"),
    "no HTTP": says(b"220 smtp.example ESMTP\r\n"),
    "garbage": says(b"\x00\xff" * 500),
    "headers without end": endless_headers,
    "body broken off": says(b'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"a":'),
    "chunk broken off": says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{}"),
    "no chunks": says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzzz\r\n{}\r\n"),
    "two lengths": says(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{} "),
}
BOMB = gzip.compress(b"[" + b" " * 50_000_000 + b"]")
UNREADABLE: dict[str, Behaviour] = {
    "endless": endless,
    "larger than the bound": answers(b'"' + b"1" * LARGEST + b'"'),
    "gzip bomb": answers(BOMB, "content-encoding: gzip"),
    "gzip broken off": answers(gzip.compress(b"[1]")[:-4], "content-encoding: gzip"),
    "no gzip": answers(b"[1]", "content-encoding: gzip"),
    "encoding not asked for": answers(b"[1]", "content-encoding: br"),
    "empty": answers(b""),
    "HTML": answers(b"<!DOCTYPE html><html></html>", "content-type: application/json"),
}


@pytest.mark.parametrize("behaviour", TIMES_OUT.values(), ids=TIMES_OUT)
def test_slow_platform_call_ends_in_time(behaviour: Behaviour) -> None:
    started = time.monotonic()
    with malicious_server(behaviour) as server, pytest.raises(TryAgain) as trouble:
        get(server)

    assert trouble.value.breaks
    assert time.monotonic() - started < TIGHT.whole.total_seconds() + SLACK_SECONDS


@pytest.mark.parametrize("behaviour", BREAKS_OFF.values(), ids=BREAKS_OFF)
def test_broken_connection_raises_try_again(behaviour: Behaviour) -> None:
    with malicious_server(behaviour) as server, pytest.raises(TryAgain) as trouble:
        get(server)

    assert not trouble.value.breaks


@pytest.mark.parametrize("behaviour", UNREADABLE.values(), ids=UNREADABLE)
def test_unreadable_body_is_a_reply_without_json(behaviour: Behaviour) -> None:
    with malicious_server(behaviour) as server, pytest.raises(ValueError, match=r"too large|not JSON|empty"):
        get(server)


@pytest.mark.parametrize(
    "behaviour",
    [
        slow_refusal,
        says(b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 99\r\n\r\n{"),
        answers(b"1" * 2 * LARGEST, status="429 Too Many Requests"),
    ],
)
def test_refusal_counts_although_its_body_is_lost(behaviour: Behaviour) -> None:
    with malicious_server(behaviour) as server, Client(TIGHT) as client:
        reply = client.request("GET", server.url)

        assert reply.status == 429
        with pytest.raises(ValueError, match="incomplete"):
            reply.json()


def test_answer_is_parsed_whatever_its_content_type() -> None:
    packed = gzip.compress(b'{"id": 9007199254740993}')
    plain = answers(b'{"id": 9007199254740993}', "content-type: text/javascript")

    for behaviour in (plain, answers(packed, "content-encoding: GZIP")):
        with malicious_server(behaviour) as server:
            assert get(server) == {"id": 9007199254740993}


def test_body_of_exactly_the_bound_is_accepted() -> None:
    body = b'"' + b"1" * (LARGEST - 2) + b'"'

    for behaviour in (answers(body), answers(gzip.compress(body), "content-encoding: gzip")):
        with malicious_server(behaviour) as server:
            assert get(server) == "1" * (LARGEST - 2)


def test_redirects_are_not_followed() -> None:
    with malicious_server(answers(b"{}")) as elsewhere:
        behaviour = answers(b"{}", f"location: {elsewhere.url}/", status="302 Found")
        with malicious_server(behaviour) as server, Client(TIGHT) as client:
            assert client.request("GET", server.url).status == 302

        assert elsewhere.requests == []


def test_cookies_are_not_stored() -> None:
    with malicious_server(answers(b"{}", "set-cookie: session=1")) as server, Client(TIGHT) as client:
        client.request("GET", server.url)
        client.request("GET", server.url)

        assert len(server.requests) == 2
        assert b"cookie" not in server.requests[1].lower()


def test_the_environment_adds_no_proxy_and_no_credentials(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")

    with malicious_server(answers(b"{}")) as server:
        assert get(server) == {}

        assert b"authorization" not in server.requests[0].lower()


class Pieces(httpx.BaseTransport, httpx.SyncByteStream):
    """Answers with a compressed body that arrives in these pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces
        self.read_to_the_end = self.released = False

    def handle_request(self, _request: httpx.Request) -> httpx.Response:
        """Answer."""
        return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=self)

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces
        self.read_to_the_end = True

    def close(self) -> None:
        """Note that the connection may be used again."""
        self.released = True


def test_compressed_body_is_never_inflated_beyond_the_bound() -> None:
    pieces = Pieces(BOMB[:20_000], BOMB[20_000:])
    with Client(TIGHT, transport=pieces) as client:
        tracemalloc.start()
        try:
            assert client.request("GET", "http://platform.test/").body is None
            _, peak = tracemalloc.get_traced_memory()
            assert (pieces.read_to_the_end, pieces.released) == (False, True)
        finally:
            tracemalloc.stop()

    assert peak < 20 * LARGEST


def test_compressed_body_with_a_wrong_checksum_is_no_body() -> None:
    packed = gzip.compress(b"[1]")
    with Client(TIGHT, transport=Pieces(packed[:-8], b"\0" * 8)) as client:
        assert client.request("GET", "http://platform.test/").body is None
    with Client(TIGHT, transport=Pieces(packed[:-8], packed[-8:])) as client:
        assert client.request("GET", "http://platform.test/").json() == [1]


def junk_after_gzip(server: MaliciousServer, connection: socket.socket) -> None:
    body = gzip.compress(b"[1]")
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n" + body)
    while not server.over.is_set():
        connection.sendall(b"\0" * 65_536)


def gzip_without_content(server: MaliciousServer, connection: socket.socket) -> None:
    packer = zlib.compressobj(wbits=31)
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n")
    while not server.over.is_set():
        connection.sendall(packer.flush(zlib.Z_FULL_FLUSH) + b"\0\0\0\xff\xff" * 10_000)


def test_reading_stops_at_the_end_of_the_gzip_stream() -> None:
    with malicious_server(junk_after_gzip) as server:
        assert get(server) == [1]


def test_compressed_bytes_are_bounded() -> None:
    with malicious_server(gzip_without_content) as server, Client(TIGHT) as client:
        assert client.request("GET", server.url).body is None


def test_url_is_sent_unchanged() -> None:
    path = "/rest/s?q=entity&shares=List(urn%3Ali%3Ashare%3A1,urn%3Ali%3Ashare%3A2)&entity=(ugc:urn%3Ali)&e="

    with malicious_server(answers(b"{}")) as server:
        get(server, path)

        assert server.requests[0].startswith(f"GET {path} HTTP/1.1\r\n".encode())


@pytest.mark.parametrize(
    "behaviour", [hangs, answers(b"{}"), lambda s, c: s.trickle(c, b"\x16\x03\x03\x40\x00" * 999)]
)
def test_call_to_server_without_tls_ends_in_time(behaviour: Behaviour) -> None:
    started = time.monotonic()
    with malicious_server(behaviour) as server, Client(TIGHT) as client, pytest.raises(TryAgain):
        client.request("GET", f"https://127.0.0.1:{server.port}/")

    assert time.monotonic() - started < TIGHT.whole.total_seconds() + SLACK_SECONDS


def test_refused_connection_raises_try_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

    with Client(TIGHT) as client, pytest.raises(TryAgain, match="ConnectError"):
        client.request("GET", f"http://127.0.0.1:{port}/")


def test_wait_for_a_pooled_connection_is_bounded() -> None:
    with (
        malicious_server(hangs) as server,
        Client(GENEROUS, connections=1) as client,
        ThreadPoolExecutor() as threads,
    ):
        threads.submit(client.request, "GET", server.url)
        assert server.reached.wait(30)

        started = time.monotonic()
        with pytest.raises(TryAgain, match="free in time") as trouble:
            client.request("GET", server.url)
        waited = time.monotonic() - started
        server.over.set()

    assert not trouble.value.breaks
    assert waited < GENEROUS.connect.total_seconds() + SLACK_SECONDS
