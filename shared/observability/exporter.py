"""The exporter: ``/metrics`` and ``/healthz`` of a service that serves no HTTP otherwise.

Off unless ``DRAVO_METRICS_PORT`` is set. It listens on ``DRAVO_API_HOST``, like everything of ours that
listens: loopback unless somebody opens it. One service is one process, so the process's own registry is all
there is to tell, and Prometheus adds up the fleet.
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

LONGEST_ROUND = timedelta(minutes=2)
"""No round of a main loop takes that long: the time limits inside it are shorter."""

_SLOWEST_CLIENT_SECONDS = 5.0
_log = structlog.get_logger(__name__)


class Heartbeat:
    """Tells whether a process's main loop still comes round. Stores do not matter: a restart mends none.

    ``every``: how long the loop rests between rounds.
    """

    def __init__(self, every: timedelta) -> None:
        self._stuck_after = (LONGEST_ROUND + every).total_seconds()
        self._at = time.monotonic()

    def beat(self) -> None:
        """Say that the loop came round."""
        self._at = time.monotonic()

    def stuck(self) -> bool:
        """Tell whether the last beat is too long ago."""
        return time.monotonic() - self._at > self._stuck_after


class _Handler(MetricsHandler):
    timeout = _SLOWEST_CLIENT_SECONDS

    def __init__(self, heartbeat: Heartbeat, *args: Any) -> None:
        self._heartbeat = heartbeat
        super().__init__(*args)

    def do_GET(self) -> None:  # noqa: N802 - http.server looks it up by this name
        """Answer with the metrics or the health."""
        path = self.path.partition("?")[0]
        if path == "/metrics":
            super().do_GET()
        elif path == "/healthz":
            self._say(503 if self._heartbeat.stuck() else 200)
        else:
            self._say(404)

    def _say(self, status: int) -> None:
        body = {200: b"alive\n", 404: b"not found\n", 503: b"stuck\n"}[status]
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def exporter(service: str, settings: Settings, heartbeat: Heartbeat) -> Iterator[int | None]:
    """Serve the metrics while the block runs; give the port, or ``None`` when none is set.

    Raises `SettingsError` when the port cannot be had.
    """
    if settings.metrics_port is None:
        yield None
        return
    address = (settings.api_host, settings.metrics_port)
    try:
        server = ThreadingHTTPServer(address, partial(_Handler, heartbeat))
    except OSError as error:
        where = f"{address[0]}:{address[1]}"
        raise SettingsError(f"DRAVO_METRICS_PORT: {where} cannot be had: {error.strerror}") from None
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
