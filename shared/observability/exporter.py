"""The HTTP endpoints ``/metrics`` and ``/healthz`` of a worker or scheduler, which serves no other HTTP.

The exporter runs only if ``DRAVO_METRICS_PORT`` is set. It listens on ``DRAVO_API_HOST`` like the API:
loopback by default. A service is one process and exports only its own registry; Prometheus adds up the fleet.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from http.server import ThreadingHTTPServer
from importlib import metadata
from typing import Any

import structlog
from prometheus_client import MetricsHandler

from shared.observability import metrics
from shared.settings import Settings, SettingsError

LONGEST_ITERATION = timedelta(minutes=2)
"""An upper bound of one iteration of a main loop: the time limits inside an iteration are shorter."""

_SLOWEST_CLIENT_SECONDS = 5.0
_log = structlog.get_logger(__name__)


class Heartbeat:
    """Detects a main loop that is stuck. Unreachable stores do not count: a restart repairs none of them.

    ``every``: how long the loop sleeps between iterations.
    """

    def __init__(self, every: timedelta) -> None:
        self._stuck_after = (LONGEST_ITERATION + every).total_seconds()
        self._at = time.monotonic()

    def beat(self) -> None:
        """Record that the loop finished an iteration."""
        self._at = time.monotonic()

    def stuck(self) -> bool:
        """Return whether the last beat is too long ago."""
        return time.monotonic() - self._at > self._stuck_after


class _Handler(MetricsHandler):
    timeout = _SLOWEST_CLIENT_SECONDS

    def __init__(self, heartbeat: Heartbeat, *args: Any) -> None:
        self._heartbeat = heartbeat
        super().__init__(*args)

    def do_GET(self) -> None:  # noqa: N802 - http.server looks it up by this name
        """Respond with the metrics or the health."""
        path = self.path.partition("?")[0]
        if path == "/metrics":
            super().do_GET()
        elif path == "/healthz":
            self._respond(503 if self._heartbeat.stuck() else 200)
        else:
            self._respond(404)

    def _respond(self, status: int) -> None:
        body = {200: b"alive\n", 404: b"not found\n", 503: b"stuck\n"}[status]
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def exporter(service: str, settings: Settings, heartbeat: Heartbeat) -> Iterator[int | None]:
    """Serve the metrics while the block runs; yield the port, or ``None`` when none is set.

    Raises `SettingsError` when the port cannot be bound.
    """
    if settings.metrics_port is None:
        yield None
        return
    address = (settings.api_host, settings.metrics_port)
    try:
        server = ThreadingHTTPServer(address, partial(_Handler, heartbeat))
    except OSError as error:
        where = f"{address[0]}:{address[1]}"
        raise SettingsError(f"DRAVO_METRICS_PORT: {where} cannot be bound: {error.strerror}") from None
    metrics.BUILD.labels(service, metadata.version("dravo-analytics-sync")).set(1)
    thread = threading.Thread(target=server.serve_forever, name="exporter", daemon=True)
    thread.start()
    port = int(server.server_address[1])
    _log.info("exporter_started", host=address[0], port=port)
    try:
        yield port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
