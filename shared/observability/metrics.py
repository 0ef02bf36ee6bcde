"""All metrics of the services, each with its labels and unit.

Names begin with ``dravo_`` and end in their unit (base units: seconds, ratios from 0 to 1), or in ``_total``
if they are counters. Every label has few values, fixed by the code: never an id, a workspace, a URL or a
text. The one exception names who holds an old snapshot: one series, and only while somebody does.

platform   the five of `Platform`
outcome    how a refresh ended: `shared.outcome_kinds.OutcomeKind`
reason     why the row runs next when it does: `Reason`
endpoint   an endpoint class, as its adapter names it
status     ``2xx`` … ``5xx``; ``none`` when no response came
kind       `BucketKind` of a limit, or `PauseKind` of a pause
lane       `Lane`
tick       the scheduler's ticks, by name
read       a query for fleet gauges, by name: ``overdue``, ``sample``, ``queue`` …
breach     how a row is stuck: `shared.refresh_state.invariants.Breach`
holder     what holds a snapshot: ``session`` (its name is its pid), ``prepared_transaction``,
           ``replication_slot``, ``none``
pool       a pool of database connections, by its owner

A `Counter`, `Gauge` or `Histogram` describes one process. A `FleetGauge` is read from the stores: each
scheduler exports all of them, so take ``max`` over instances, never ``sum``. A fleet gauge that could not be
read for a while is absent, because unknown is not zero.
"""

from dataclasses import dataclass

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily
from sqlalchemy import Engine
from sqlalchemy.pool import QueuePool

disable_created_metrics()  # type: ignore[no-untyped-call] # it publishes no types; a second series per counter is useless

_CALL_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30)
_TICK_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 30)

# Of workers.
REFRESHES = Counter(
    "dravo_refreshes",
    "Publications whose refresh ended and was recorded.",
    ["platform", "outcome", "reason"],
)
FENCED_WRITES = Counter(
    "dravo_fenced_writes",
    "Outcomes that were not written because the row had a newer claim.",
    ["platform"],
)
UPSTREAM_CALLS = Counter(
    "dravo_upstream_calls", "Calls sent to a platform.", ["platform", "endpoint", "status"]
)
UPSTREAM_COST = Counter(
    "dravo_upstream_cost", "Units of the platforms' limits that our calls used.", ["platform", "endpoint"]
)
UPSTREAM_IDS = Counter(
    "dravo_upstream_ids",
    "Publications in a platform's responses; divided by calls, the ids per call.",
    ["platform"],
)
UPSTREAM_SECONDS = Histogram(
    "dravo_upstream_call_seconds",
    "Duration of calls to a platform.",
    ["platform", "endpoint"],
    buckets=_CALL_SECONDS,
)
REFUSALS = Counter(
    "dravo_refusals",
    "Calls that a platform's limit or our own budget refused, by kind of limit.",
    ["platform", "kind"],
)
BUDGET_REMAINING = Gauge(
    "dravo_budget_remaining_ratio",
    "Part of a budget that was left at this process's last decision; the smallest of its kind.",
    ["platform", "kind"],
)

# Of schedulers.
CLAIMS = Counter("dravo_claims", "Publications that were claimed.", ["lane"])
EXPIRED_LEASES = Counter(
    "dravo_expired_leases", "Claims whose lease ended before their worker finished.", ["lane"]
)
TIMERS_REPAIRED = Counter(
    "dravo_timers_repaired", "Accounts whose next due row no timer covered; the sweep inserted one."
)
TICK_SECONDS = Histogram("dravo_tick_seconds", "Duration of a tick.", ["tick"], buckets=_TICK_SECONDS)
TICK_ENDED_AT = Gauge("dravo_tick_ended_timestamp_seconds", "End of the last tick, Unix time.", ["tick"])

# Of every service.
POOL_IN_USE = Gauge("dravo_pool_in_use_connections", "Database connections in use.", ["pool"])
RETENTION_BEHIND = Gauge(
    "dravo_retention_behind_seconds",
    "How long the oldest row has been beyond its limit, 0 if none is; absent while retention is off.",
    ["class", "platform"],
)
POOL_SIZE = Gauge("dravo_pool_size_connections", "Database connections that may be in use.", ["pool"])
BUILD = Gauge("dravo_build_info", "Always 1; the labels are service and version.", ["service", "version"])


@dataclass(frozen=True, slots=True)
class FleetGauge:
    """A gauge that is read from the stores and exported by every scheduler."""

    name: str
    documentation: str
    labels: tuple[str, ...] = ()

    def family(self) -> GaugeMetricFamily:
        """Return its metric family without values."""
        return GaugeMetricFamily(self.name, self.documentation, labels=self.labels)


OLDEST_OVERDUE = FleetGauge(
    "dravo_oldest_overdue_seconds",
    "How long the longest overdue row of active accounts has been due, 0 if none; paused: a pause applies.",
    ("platform", "paused"),
)
READS_WITHIN = FleetGauge(
    "dravo_reads_within_5_percent_ratio",
    "Part of clients' reads in the last day that were probably within 5 % of the platform's number, of the"
    " 200 workspaces that read most.",
    ("workspace", "platform"),
)
OVERDUE_P50 = FleetGauge(
    "dravo_overdue_p50_seconds",
    "Median of how long polled rows are overdue (sampled).",
    ("platform",),
)
OVERDUE_P95 = FleetGauge(
    "dravo_overdue_p95_seconds",
    "95th percentile of how long polled rows are overdue (sampled).",
    ("platform",),
)
OVERDUE_P99 = FleetGauge(
    "dravo_overdue_p99_seconds",
    "99th percentile of how long polled rows are overdue (sampled).",
    ("platform",),
)
FRESH = FleetGauge(
    "dravo_fresh_ratio",
    "Part of the polled rows that were refreshed and whose stale_after has not passed (sampled).",
    ("platform",),
)
ACCOUNTS = FleetGauge("dravo_accounts", "Accounts by state.", ("platform", "state"))
CLAIMED = FleetGauge("dravo_claimed_publications", "Publications whose lease has not expired.", ("platform",))
PAUSES = FleetGauge(
    "dravo_pauses", "Pauses in force; platform *: an operator's pause of all platforms.", ("platform", "kind")
)
PAUSED_UNTIL = FleetGauge(
    "dravo_parked_until_timestamp_seconds",
    "End of the last of these pauses, Unix time.",
    ("platform", "kind"),
)
OPERATOR_NEEDED = FleetGauge(
    "dravo_operator_needed",
    "Stops whose cause only an operator can end, also those that are being tried.",
    ("platform", "kind"),
)
STUCK = FleetGauge(
    "dravo_stuck_publications",
    "Publications that will never run although they should, or will run although they should not.",
    ("platform", "breach"),
)
ERASURES_OPEN = FleetGauge("dravo_erasures_open", "Erasures that were requested and have not ended.")
OLDEST_ERASURE = FleetGauge("dravo_oldest_erasure_seconds", "How long ago the oldest of them was requested.")
OLDEST_TRANSACTION = FleetGauge(
    "dravo_oldest_transaction_seconds", "Age of the oldest open transaction of our database role."
)
SNAPSHOT_HELD = FleetGauge(
    "dravo_snapshot_held_seconds",
    "Age of the oldest snapshot that keeps rows from being removed; the labels name its holder.",
    ("holder", "name", "application", "user"),
)
QUEUE_DEPTH = FleetGauge("dravo_queue_depth", "Jobs waiting in Redis.", ("lane",))
WORKERS_ALIVE = FleetGauge("dravo_workers_alive", "Workers that reported within the last 15 seconds.")
WORKER_THREADS = FleetGauge("dravo_worker_threads_alive", "Threads of those workers.")
WEBHOOK_ENDPOINTS = FleetGauge(
    "dravo_webhook_endpoints",
    "Webhook endpoints by state: enabled, failing (the last delivery failed), disabled.",
    ("state",),
)
WEBHOOK_UNDELIVERED = FleetGauge(
    "dravo_webhook_undelivered_seconds",
    "Age of the oldest change that an endpoint which does not fail has not got, 0 if none.",
)
SENDERS_ALIVE = FleetGauge("dravo_senders_alive", "Senders that reported within the last 15 seconds.")
FEED_HELD = FleetGauge(
    "dravo_feed_held_seconds",
    "Age of the oldest open transaction that has written: the delta feed shows nothing newer, 0 if none.",
)
FLEET_READ = FleetGauge(
    "dravo_fleet_read_up", "1 when the last query for these gauges succeeded, 0 when it failed.", ("read",)
)

FLEET_GAUGES = (
    OLDEST_OVERDUE,
    READS_WITHIN,
    OVERDUE_P50,
    OVERDUE_P95,
    OVERDUE_P99,
    FRESH,
    ACCOUNTS,
    CLAIMED,
    PAUSES,
    PAUSED_UNTIL,
    OPERATOR_NEEDED,
    STUCK,
    ERASURES_OPEN,
    OLDEST_ERASURE,
    OLDEST_TRANSACTION,
    SNAPSHOT_HELD,
    QUEUE_DEPTH,
    WORKERS_ALIVE,
    WORKER_THREADS,
    WEBHOOK_ENDPOINTS,
    WEBHOOK_UNDELIVERED,
    SENDERS_ALIVE,
    FEED_HELD,
    FLEET_READ,
)


def watch_pool(owner: str, engine: Engine) -> None:
    """Export how many of an engine's connections are in use, read at each scrape."""
    pool = engine.pool
    if not isinstance(pool, QueuePool):
        raise TypeError(f"{type(pool).__name__} does not count its connections")
    POOL_SIZE.labels(owner).set_function(pool.size)
    POOL_IN_USE.labels(owner).set_function(pool.checkedout)


def status_class(status: int | None) -> str:
    """Return the label of an HTTP status: ``2xx`` … ``5xx``, or ``none`` when no answer came."""
    return "none" if status is None else f"{status // 100}xx"
