"""The Prometheus metrics of the API. Their labels have fixed values: a caller cannot add new ones."""

from math import nan
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

REQUESTS: Final = Counter(
    "dravo_api_requests_total", "Requests, by route, method and status.", ["route", "method", "status"]
)
SECONDS: Final = Histogram(
    "dravo_api_request_seconds",
    "Time to answer, without refresh=true.",
    ["route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
FORCED_SECONDS: Final = Histogram(
    "dravo_api_forced_refresh_seconds",
    "Time to answer with refresh=true, the wait included.",
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 60),
)
FORCED_ROWS: Final = Counter(
    "dravo_api_forced_refresh_rows_total", "Rows of forced refreshes, by result.", ["result"]
)
SHED: Final = Counter("dravo_api_shed_total", "Requests refused with 503 because too many are in flight.")
IN_FLIGHT: Final = Gauge("dravo_api_in_flight", "Requests being answered right now.")
WAITING: Final = Gauge("dravo_api_waiting_for_connection", "Requests waiting for a database connection.")
REPLICA_STATE: Final = Gauge(
    "dravo_api_replica_state", "1 for the state of the replica, 0 for the others.", ["state"]
)
REPLICA_LAG: Final = Gauge("dravo_api_replica_lag_seconds", "How far the replica is behind; NaN: unknown.")
REPLICA_LAG.set(nan)
REPLICA_READS: Final = Counter(
    "dravo_api_replica_reads_total",
    "Reads that a replica may serve: served by it, or by the primary because of the replica's state, because"
    " the workspace has just forced a refresh (refreshed), or because the replica failed.",
    ["result"],
)
EVENTS: Final = Counter("dravo_api_events_total", "Events, by type and result.", ["type", "result"])
SIGNALS: Final = Counter(
    "dravo_api_signals_total",
    "Signals of platforms, by result: accepted, repeated, ignored, forged (the body), limited (the request).",
    ["platform", "result"],
)
