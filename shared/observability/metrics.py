"""The metrics: every name with its labels and unit, in one place, for whoever counts and whoever reads.

Names begin with ``dravo_`` and end in their unit (base units: seconds, ratios from 0 to 1), or in ``_total``
when they only grow. Every label has few values, fixed by the code: never an id, a workspace, a URL or a text.

platform   the five of `Platform`
outcome    how a refresh ended: the words of ``post_analytics.outcome``
reason     why the row runs next when it does: `Reason`
endpoint   the endpoint classes that the adapters name
status     ``2xx`` … ``5xx``; ``none`` when no answer came
kind       whose limit: `BucketKind`, and what operators pause
lane       `Lane`
tick       the scheduler's ticks, by name
read       what a scheduler looks at, by the name of the look: ``overdue``, ``sample``, ``queue`` …
breach     how a row is stuck: `shared.refresh_state.invariants.Breach`
pool       a pool of database connections, by its owner

What a process counts itself is a `Counter`, `Gauge` or `Histogram` here. What is read from the stores is a
`Fact`: each scheduler exports all of them, so take ``max`` over instances, never ``sum``; a fact that could
not be read for a while is absent, because unknown is not zero.
"""

from dataclasses import dataclass

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily
from sqlalchemy import Engine
from sqlalchemy.pool import QueuePool

disable_created_metrics()  # type: ignore[no-untyped-call] # it publishes no types; the series double every counter

_CALL_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30)
_TICK_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 30)

# The worker's.
REFRESHES = Counter(
    "dravo_refreshes",
    "Publications whose refresh ended and was recorded.",
    ["platform", "outcome", "reason"],
)
FENCED_WRITES = Counter(
    "dravo_fenced_writes",
    "Outcomes that were not written, because a newer claim held the row.",
    ["platform"],
)
UPSTREAM_CALLS = Counter(
    "dravo_upstream_calls", "Calls sent to a platform.", ["platform", "endpoint", "status"]
)
UPSTREAM_COST = Counter(
    "dravo_upstream_cost", "Units of the platforms' limits that our calls took.", ["platform", "endpoint"]
)
UPSTREAM_IDS = Counter(
    "dravo_upstream_ids",
    "Publications that a platform's answers told something of; by calls, the ids per call.",
    ["platform"],
)
UPSTREAM_SECONDS = Histogram(
    "dravo_upstream_call_seconds",
    "How long calls to a platform took.",
    ["platform", "endpoint"],
    buckets=_CALL_SECONDS,
)
REFUSALS = Counter(
    "dravo_refusals",
    "Times that a platform's limit or our budget said wait, by whose limit it was.",
    ["platform", "kind"],
)
BUDGET_REMAINING = Gauge(
    "dravo_budget_remaining_ratio",
    "Part of a budget that was left at the last decision of this process; the tightest of its kind counts.",
    ["platform", "kind"],
)

# The scheduler's.
CLAIMS = Counter("dravo_claims", "Publications that were claimed.", ["lane"])
EXPIRED_LEASES = Counter(
    "dravo_expired_leases", "Claims whose worker never finished: their lease ended.", ["lane"]
)
TICK_SECONDS = Histogram("dravo_tick_seconds", "How long a tick took.", ["tick"], buckets=_TICK_SECONDS)
TICK_ENDED_AT = Gauge("dravo_tick_ended_timestamp_seconds", "When a tick ended last, Unix time.", ["tick"])

# Every service's.
POOL_IN_USE = Gauge("dravo_pool_in_use_connections", "Database connections in use.", ["pool"])
POOL_SIZE = Gauge("dravo_pool_size_connections", "Database connections that may be in use.", ["pool"])
BUILD = Gauge("dravo_build_info", "Always 1; the labels tell what runs.", ["service", "version"])


@dataclass(frozen=True, slots=True)
class Fact:
    """A gauge that is read from the stores and exported by every scheduler."""

    name: str
    documentation: str
    labels: tuple[str, ...] = ()

    def family(self) -> GaugeMetricFamily:
        """Return it without values."""
        return GaugeMetricFamily(self.name, self.documentation, labels=self.labels)


OLDEST_OVERDUE = Fact(
    "dravo_oldest_overdue_seconds",
    "How long the longest waiting row of active accounts has been due; 0: none is. paused: it is held back.",
    ("platform", "paused"),
)
OVERDUE_P50 = Fact(
    "dravo_overdue_p50_seconds",
    "Half of the polled rows are overdue by no more than this (sampled).",
    ("platform",),
)
OVERDUE_P95 = Fact(
    "dravo_overdue_p95_seconds",
    "95 % of the polled rows are overdue by no more than this (sampled).",
    ("platform",),
)
OVERDUE_P99 = Fact(
    "dravo_overdue_p99_seconds",
    "99 % of the polled rows are overdue by no more than this (sampled).",
    ("platform",),
)
FRESH = Fact(
    "dravo_fresh_ratio",
    "Part of the polled rows that were read and whose stale_after has not passed (sampled).",
    ("platform",),
)
ACCOUNTS = Fact("dravo_accounts", "Accounts, by their state.", ("platform", "state"))
CLAIMED = Fact("dravo_claimed_publications", "Publications whose claim is open.", ("platform",))
PAUSES = Fact("dravo_pauses", "Pauses in force; platform * is an operator's, for all.", ("platform", "kind"))
PARKED_UNTIL = Fact(
    "dravo_parked_until_timestamp_seconds",
    "When the last of these pauses ends, Unix time.",
    ("platform", "kind"),
)
STUCK = Fact(
    "dravo_stuck_publications",
    "Publications that would never run again although they should, or run although they should not.",
    ("platform", "breach"),
)
OLDEST_TRANSACTION = Fact(
    "dravo_oldest_transaction_seconds", "Age of the oldest open transaction of our database role."
)
QUEUE_DEPTH = Fact("dravo_queue_depth", "Jobs that wait in Redis.", ("lane",))
WORKERS_ALIVE = Fact("dravo_workers_alive", "Workers that said within 15 seconds that they take jobs.")
WORKER_THREADS = Fact("dravo_worker_threads_alive", "Threads of those workers.")
FLEET_READ = Fact(
    "dravo_fleet_read_up", "1 when the last look at these facts succeeded, 0 when it failed.", ("read",)
)

FACTS = (
    OLDEST_OVERDUE,
    OVERDUE_P50,
    OVERDUE_P95,
    OVERDUE_P99,
    FRESH,
    ACCOUNTS,
    CLAIMED,
    PAUSES,
    PARKED_UNTIL,
    STUCK,
    OLDEST_TRANSACTION,
    QUEUE_DEPTH,
    WORKERS_ALIVE,
    WORKER_THREADS,
    FLEET_READ,
)


def watch_pool(owner: str, engine: Engine) -> None:
    """Export the use of an engine's connections, read at each scrape."""
    pool = engine.pool
    if not isinstance(pool, QueuePool):
        raise TypeError(f"{type(pool).__name__} keeps no count of its connections")
    POOL_SIZE.labels(owner).set_function(pool.size)
    POOL_IN_USE.labels(owner).set_function(pool.checkedout)


def status_class(status: int | None) -> str:
    """Return the label of an HTTP status: ``2xx`` … ``5xx``, or ``none`` when no answer came."""
    return "none" if status is None else f"{status // 100}xx"
