"""A job's calls pass the gate, are counted, and their limits reach the sink."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import httpx
import pytest
from prometheus_client import REGISTRY

from shared.vocabulary import BucketKind, Platform
from tests.worker.http.in_process import InProcess
from worker.errors import Paused, TryAgain
from worker.http import upstream as upstreams
from worker.http.client import Client
from worker.http.upstream import Call, JobUpstream
from worker.readings import Limit

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
LIMIT = Limit(kind=BucketKind.APP, endpoint=None, remaining=3)
SECRET = "EAAvery-secret-token"


class Memory:
    """A memory without entries."""

    def refused(self, version: str, object_type: str) -> frozenset[str]:  # noqa: ARG002 - the contract's
        """Refuse nothing."""
        return frozenset()

    def remember(self, version: str, object_type: str, metric: str) -> None:
        """Do nothing."""

    def forget(self, version: str, object_type: str, metric: str) -> None:
        """Do nothing."""


class Recorder:
    """A gate, a sink and an observer that record their arguments."""

    def __init__(self, *, closed: bool = False) -> None:
        self.closed = closed
        self.acquired: list[tuple[Platform, str, str, int]] = []
        self.observed: list[tuple[Platform, str, tuple[Limit, ...]]] = []
        self.calls: list[Call] = []
        self.sent = 0
        self.seconds = 0.0

    def gate(self, platform: Platform, account_id: str, endpoint: str, cost: int) -> None:
        """Allow the call, unless closed."""
        self.acquired.append((platform, account_id, endpoint, cost))
        self.seconds += 5
        if self.closed:
            raise Paused("The budget is used up.", kind=BucketKind.APP, until=NOW + timedelta(minutes=1))

    def sink(self, platform: Platform, account_id: str, limits: tuple[Limit, ...]) -> None:
        """Record the limits."""
        self.observed.append((platform, account_id, limits))

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Refuse the call."""
        self.sent += 1
        self.seconds += 2
        if request.url.path == "/hang":
            raise httpx.ReadTimeout("too slow", request=request)
        return httpx.Response(429, json={"path": request.url.path, "body": request.content.decode()})

    def upstream(self) -> JobUpstream:
        """Return an upstream with this gate, sink and observer."""
        client = Client(now=lambda: NOW, transport=InProcess(self.answer))
        return JobUpstream(
            client, Platform.X, "acc_1", Memory(), gate=self.gate, sink=self.sink, observe=self.calls.append
        )


def test_call_passes_gate_is_sent_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    monkeypatch.setattr(upstreams, "time", SimpleNamespace(monotonic=lambda: recorder.seconds))

    reply = recorder.upstream().send(
        "POST",
        f"https://api.x.example/2/t?token={SECRET}",
        endpoint="tweets",
        cost=7,
        headers={"authorization": f"Bearer {SECRET}"},
        form={"a": "1"},
    )

    assert reply.status == 429
    assert reply.json() == {"path": "/2/t", "body": "a=1"}
    assert reply.received_at == NOW
    assert recorder.acquired == [(Platform.X, "acc_1", "tweets", 7)]
    [call] = recorder.calls
    assert (call.platform, call.account_id, call.endpoint, call.cost, call.status) == (
        Platform.X,
        "acc_1",
        "tweets",
        7,
        429,
    )
    assert call.took == timedelta(seconds=2), "the wait for the budget is not the platform's"
    assert SECRET not in repr(call)


def test_call_is_sent_with_its_headers_and_its_json() -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json={})

    client = Client(now=lambda: NOW, transport=InProcess(answer))
    upstream = JobUpstream(client, Platform.X, "acc_1", Memory())

    upstream.send(
        "PATCH",
        "https://api.x.example/2/t",
        endpoint="t",
        headers={"x-version": "7", "accept": "application/json"},
        json={"a": 1},
    )

    (request,) = sent
    assert (request.method, request.headers["x-version"]) == ("PATCH", "7")
    assert (request.headers["accept"], request.headers["accept-encoding"]) == ("application/json", "gzip")
    assert request.extensions["timeout"] == {"connect": 5, "read": 15, "write": 15, "pool": 5}
    assert request.content.replace(b" ", b"") == b'{"a":1}'
    assert upstream.now() == NOW


def test_reported_limits_are_kept_and_passed_to_the_sink_once() -> None:
    recorder = Recorder()
    upstream = recorder.upstream()

    upstream.report_limits()
    upstream.report_limits(LIMIT, LIMIT)
    upstream.report_limits(LIMIT)

    assert upstream.limits == [LIMIT] * 3
    assert recorder.observed == [(Platform.X, "acc_1", (LIMIT, LIMIT)), (Platform.X, "acc_1", (LIMIT,))]


def test_closed_gate_prevents_the_call() -> None:
    recorder = Recorder(closed=True)

    with pytest.raises(Paused):
        recorder.upstream().send("GET", "https://api.x.example/2/t", endpoint="tweets")

    assert recorder.sent == 0
    assert recorder.calls == []


def test_call_without_an_answer_is_counted() -> None:
    recorder = Recorder()

    with pytest.raises(TryAgain):
        recorder.upstream().send("GET", "https://api.x.example/hang", endpoint="tweets")

    assert [call.status for call in recorder.calls] == [None]


def test_limits_are_kept_and_passed_to_the_sink() -> None:
    recorder = Recorder()
    upstream = recorder.upstream()

    upstream.report_limits()
    upstream.report_limits(LIMIT, LIMIT)

    assert upstream.limits == [LIMIT, LIMIT]
    assert recorder.observed == [(Platform.X, "acc_1", (LIMIT, LIMIT))]


def test_default_gate_and_sink_allow_every_call(capfd: pytest.CaptureFixture[str]) -> None:
    client = Client(now=lambda: NOW, transport=InProcess(Recorder().answer))
    upstream = JobUpstream(client, Platform.X, "acc_1", Memory())

    upstream.report_limits(LIMIT)
    reply = upstream.send("GET", f"https://api.x.example/?token={SECRET}", endpoint="tweets")

    assert reply.status == 429
    assert upstream.now() == NOW
    assert SECRET not in "".join(capfd.readouterr())


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, {"platform": "x", "endpoint": "tweets", **labels}) or 0.0


def test_calls_are_counted_by_status_cost_and_duration() -> None:
    client = Client(now=lambda: NOW, transport=InProcess(Recorder().answer))
    upstream = JobUpstream(client, Platform.X, "acc_1", Memory())
    names: list[tuple[str, dict[str, str]]] = [
        ("dravo_upstream_cost_total", {}),
        ("dravo_upstream_call_seconds_count", {}),
    ]
    names += [("dravo_upstream_calls_total", {"status": status}) for status in ("4xx", "none")]
    before = [counted(name, **labels) for name, labels in names]

    upstream.send("GET", "https://api.x.example/", endpoint="tweets", cost=7)
    with pytest.raises(TryAgain):
        upstream.send("GET", "https://api.x.example/hang", endpoint="tweets")

    after = [counted(name, **labels) for name, labels in names]
    assert [now - then for now, then in zip(after, before, strict=True)] == [8, 2, 1, 1]
