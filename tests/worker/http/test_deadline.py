"""Every operation of a call may take only the rest of the call's time."""

import ssl
import threading
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import httpcore
import pytest

from worker.http import deadline as deadlines
from worker.http.deadline import Deadline, DeadlineBackend, DeadlineTransport

CALL = timedelta(seconds=10)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Stand in for the process's clock; the test sets it."""
    clock = SimpleNamespace(at=1_000.0)
    monkeypatch.setattr(deadlines, "time", SimpleNamespace(monotonic=lambda: clock.at))
    return clock


def left(deadline: Deadline, timeout: float | None) -> float | None:
    return deadline.left(timeout, httpcore.ReadTimeout)


def test_operation_may_take_the_shorter_of_its_own_limit_and_the_rest_of_the_call(
    clock: SimpleNamespace,
) -> None:
    deadline = Deadline()
    with deadline.within(CALL):
        clock.at += 4
        assert [left(deadline, timeout) for timeout in (None, 5.0, 6.0, 7.0)] == [6.0, 5.0, 6.0, 6.0]


@pytest.mark.parametrize("seconds", [10, 10.5])
def test_no_operation_begins_after_the_deadline(clock: SimpleNamespace, seconds: float) -> None:
    deadline = Deadline()
    with deadline.within(CALL):
        clock.at += 9.9
        assert left(deadline, None) == pytest.approx(0.1)
        clock.at = 1_000 + seconds
        with pytest.raises(httpcore.WriteTimeout, match="too long"):
            deadline.left(5.0, httpcore.WriteTimeout)


def test_deadline_holds_for_one_call_of_one_thread() -> None:
    deadline = Deadline()
    elsewhere: list[float | None] = []

    def fail() -> None:
        with deadline.within(CALL):
            thread = threading.Thread(target=lambda: elsewhere.append(left(deadline, 60.0)))
            thread.start()
            thread.join()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert elsewhere == [60.0]
    assert left(deadline, 60.0) == 60.0
    assert left(deadline, None) is None


class NotingStream(httpcore.NetworkStream):
    """Notes the limit of each operation, and whether it is closed."""

    def __init__(self, limits: list[Any]) -> None:
        self._limits = limits

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Note, and return how much was requested."""
        self._limits.append(timeout)
        return b"x" * max_bytes

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Note what is written, too."""
        self._limits.append((buffer, timeout))

    def close(self) -> None:
        """Note it."""
        self._limits.append("closed")

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Note the name, too."""
        del ssl_context
        self._limits.append((server_hostname, timeout))
        return self

    def get_extra_info(self, info: str) -> Any:
        """Return the question."""
        return info


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the limits of the operations on a connection that needs no network."""
    noted: list[Any] = []

    def connect(_: object, *arguments: Any) -> httpcore.NetworkStream:
        noted.append(arguments)
        return NotingStream(noted)

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect)
    return noted


def test_connecting_reading_writing_and_the_handshake_are_limited(
    limits: list[Any], clock: SimpleNamespace
) -> None:
    deadline = Deadline()
    backend = DeadlineBackend(deadline)
    with deadline.within(CALL):
        stream = backend.connect_tcp("host", 443, 60.0, "here", [1])
        clock.at += 1
        secure = stream.start_tls(ssl.create_default_context(), "name", 60.0)
        clock.at += 1
        secure.write(b"request", 60.0)
        clock.at += 1
        assert secure.read(3, 60.0) == b"xxx"
        assert secure.get_extra_info("is_readable") == "is_readable"
        secure.close()

    assert limits == [
        ("host", 443, 10.0, "here", [1]),
        ("name", 9.0),
        (b"request", 8.0),
        7.0,
        "closed",
    ]


@pytest.mark.parametrize(
    ("operation", "error"),
    [
        (lambda stream: stream.read(3), httpcore.ReadTimeout),
        (lambda stream: stream.write(b"x"), httpcore.WriteTimeout),
        (lambda stream: stream.start_tls(ssl.create_default_context()), httpcore.ConnectTimeout),
    ],
)
def test_operation_after_the_deadline_is_not_begun(
    limits: list[Any],
    clock: SimpleNamespace,
    operation: Callable[[httpcore.NetworkStream], object],
    error: type[Exception],
) -> None:
    deadline = Deadline()
    with deadline.within(CALL):
        stream = DeadlineBackend(deadline).connect_tcp("host", 443)
        clock.at += 10
        with pytest.raises(error):
            operation(stream)
        with pytest.raises(httpcore.ConnectTimeout):
            DeadlineBackend(deadline).connect_tcp("host", 443)

    assert len(limits) == 1


def test_certificates_named_in_the_environment_are_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/absent/certificates.pem")
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)

    DeadlineTransport(Deadline(), 1).close()
