"""The simulated platforms over real HTTP: hosts, ports, connections, crashes."""

import socket
import time

import httpx
import pytest

from deploy.simulators.server import HOSTS, PLATFORMS, Simulators
from tests.deploy.simulators.example import port_of


def test_every_host_answers_on_its_own_port(sims: Simulators) -> None:
    assert set(sims.urls) == {*HOSTS, "control"}
    assert len(set(sims.urls.values())) == len(sims.urls)
    for name in HOSTS:
        assert httpx.get(sims.urls[name] + "/nowhere").status_code in range(400, 500)
    assert {entry.host for entry in sims.request_log.entries()} == set(HOSTS)
    assert {entry.platform for entry in sims.request_log.entries()} == set(PLATFORMS)


def test_start_is_quick_and_stop_frees_the_ports() -> None:
    begun = time.process_time()
    with Simulators() as sims:
        assert time.process_time() - begun < 0.3
        port = port_of(sims.urls["x"])
        idle = socket.create_connection(("127.0.0.1", port))
    with idle, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_fixed_ports_are_consecutive_and_one_in_use_is_an_error() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        with pytest.raises(OSError, match="cannot listen"):
            Simulators(ports=port).start()


def test_requests_on_one_connection_are_answered_in_order(sims: Simulators) -> None:
    with socket.create_connection(("127.0.0.1", port_of(sims.urls["meta_graph"]))) as raw:
        head = "HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer EAApage-token\r\n"
        raw.sendall(f"GET /me {head}\r\nGET /nonsense {head}Connection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer.index(b"Dravo") < answer.index(b"(#803)")


def test_connection_without_http_is_aborted(sims: Simulators) -> None:
    with socket.create_connection(("127.0.0.1", port_of(sims.urls["x"]))) as raw:
        raw.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert raw.recv(1) == b""


def test_crash_of_a_simulator_is_raised_at_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    sims = Simulators().start()
    monkeypatch.setattr(sims.platforms["x"], "handle", lambda _request: 1 / 0)
    monkeypatch.setattr("asyncio.BaseEventLoop.default_exception_handler", lambda _loop, _context: None)
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(sims.urls["x"])
    with pytest.raises(RuntimeError, match="1 requests crashed"):
        sims.stop()
