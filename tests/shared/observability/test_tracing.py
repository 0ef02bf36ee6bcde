"""One trace from the API's request to the platform's call, over bell and queue; and nothing without it."""

import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import dramatiq
import httpx
import psycopg
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy.engine import make_url

from scheduler.ticks import Ticks
from scheduler.trace_contexts import TraceContexts
from shared import refresh_queue
from shared.observability import tracing
from shared.redis_client import connect
from shared.refresh_queue import RefreshJob
from shared.refresh_state import make_due, notifications
from shared.vocabulary import Lane, Platform, Reason
from tests.claiming import due_jobs
from tests.harness import open_harness
from tests.worker.http.in_process import InProcess
from tests.worker.http.test_upstream import Memory
from worker.http.client import Client
from worker.http.upstream import JobUpstream
from worker.queue import actors
from worker.queue.consumer import consuming_broker

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """Keep the spans of this process instead of sending them."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.use(provider)
    yield exporter
    tracing.use(None)
    provider.shutdown()


def parent_of(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


def test_one_trace_covers_the_request_and_the_call(
    database_url: str, redis_url: str, spans: InMemorySpanExporter
) -> None:
    client = connect(redis_url)
    received = threading.Event()

    def run(_job: RefreshJob, _lane: Lane) -> None:
        platform = InProcess(lambda _: httpx.Response(200, json={}))
        sender = Client(now=lambda: datetime.now(UTC), transport=platform)
        upstream = JobUpstream(sender, Platform.X, "acc_1", Memory())
        upstream.send("GET", "https://api.x.example/?access_token=EAAsecret", endpoint="tweets")
        received.set()

    plain = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with open_harness(database_url) as harness, psycopg.connect(plain, autocommit=True) as listener:
        listener.execute(f"LISTEN {notifications.DUE_CHANNEL}")
        publications = harness.publications(harness.account("acc_1"), 2)
        harness.execute("UPDATE refresh_state SET next_run_at = now() + interval '1 hour' RETURNING 1")
        with (
            tracing.span("request", parent=CALLER),
            harness.engine.begin() as connection,
        ):
            make_due.make_due(connection, "ws_1", publications, Reason.FORCED)
        ticks = Ticks(harness.context.settings, harness.scheduler, client, refresh_queue.broker(client))
        ticks.trace_contexts.remember(
            [notification.payload for notification in listener.notifies(timeout=30, stop_after=1)]
        )
        refresh_queue.report_alive(client, "host:1", 8)
        ticks.hand_out()
        broker = consuming_broker(client)
        actors.register(broker, run, lambda _account_id: None)
        worker = dramatiq.Worker(broker, worker_threads=1, worker_timeout=20)
        worker.start()
        assert received.wait(30)
        worker.stop()
    client.close()

    by_name = {span.name: span for span in spans.get_finished_spans()}
    request, refresh, call = (by_name[name] for name in ("request", "refresh", "call"))
    assert {f"{span.context.trace_id:032x}" for span in (request, refresh, call)} == {CALLER.split("-")[1]}
    assert (parent_of(refresh), parent_of(call)) == (request.context.span_id, refresh.context.span_id)
    assert dict(call.attributes or {}) == {"platform": "x", "endpoint": "tweets", "cost": 1, "status": 200}


def test_spans_reach_the_collector_that_the_environment_names() -> None:
    requests: list[tuple[str, bytes]] = []

    class Collector(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            requests.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    code = (
        "from shared.observability import tracing\n"
        "tracing.configure('worker')\n"
        "with tracing.span('refresh', account_id='acc_1'): pass\n"
    )
    with http.server.HTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)
        server.shutdown()

    [(path, body)] = requests
    assert path == "/v1/traces"
    assert b"dravo-worker" in body
    assert b"acc_1" in body


def test_no_spans_are_created_without_a_collector() -> None:
    with tracing.span("request", parent=CALLER) as request_span:
        request_span["status"] = 200
        assert tracing.traceparent() is None
        assert notifications.due_payload([(1, 1), (2, None)]) == ""


def test_trace_context_is_used_by_its_claim_and_no_later_one(
    database_url: str, spans: InMemorySpanExporter
) -> None:
    del spans
    plain = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    first, second = TraceContexts(), TraceContexts()
    with open_harness(database_url) as harness, psycopg.connect(plain, autocommit=True) as listener:
        listener.execute(f"LISTEN {notifications.DUE_CHANNEL}")
        idle, in_hand = harness.publications(harness.account("acc_1"), 2)
        later = (
            "UPDATE refresh_state SET next_run_at = now() + interval '1 hour', claimed_at = {} RETURNING 1"
        )
        harness.execute(later.format("CASE publication_id WHEN :id THEN now() END"), id=in_hand)
        with tracing.span("request", parent=CALLER), harness.engine.begin() as connection:
            make_due.make_due(connection, "ws_1", [idle, in_hand], Reason.FORCED)
        payloads = [one.payload for one in listener.notifies(timeout=30, stop_after=1)]
        for scheduler in (first, second):
            scheduler.remember(payloads)

        claims = due_jobs(harness.engine, Lane.INTERACTIVE)
        assert [first.take(job) is not None for job in claims] == [True]
        harness.execute("UPDATE refresh_state SET next_run_at = now() - interval '1 s', claimed_at = NULL")
        (again,) = due_jobs(harness.engine, Lane.INTERACTIVE)

    assert second.take(again) is None


@pytest.mark.parametrize(
    "words",
    ["x", "[]", '{"claims": [[1, 1]]}', '{"traceparent": "t", "claims": [["one", 1]]}', '{"traceparent": 1}'],
)
def test_malformed_notification_is_ignored(words: str) -> None:
    traces = TraceContexts()

    traces.remember([words, "", '{"traceparent": "00-1", "claims": [[7, 2]]}'])

    assert traces.take(RefreshJob("acc_1", ((7, 3), (8, 1)))) is None
    assert traces.take(RefreshJob("acc_1", ((7, 2), (8, 1)))) == "00-1"
    assert traces.take(RefreshJob("acc_1", ((7, 2),))) is None
