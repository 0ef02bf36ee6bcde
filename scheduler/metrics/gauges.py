"""The queries behind the fleet metrics, each a generator of samples.

Cheap at any size: percentiles and shares come from a sample of whole pages, so that they cost the same at a
hundred thousand rows and at a hundred million; figures that other places show, too, are those of
`shared.operations.fleet`. Nothing here counts an unbounded number of rows.
"""

from collections import Counter
from collections.abc import Callable, Iterator

from sqlalchemy import Connection, text

from scheduler.metrics.snapshot_gauges import snapshots
from scheduler.metrics.webhook_gauges import feed_held, webhooks
from shared import refresh_queue
from shared.observability.metrics import (
    ACCOUNTS,
    CLAIMED,
    ERASURES_OPEN,
    FRESH,
    OLDEST_ERASURE,
    OLDEST_OVERDUE,
    OLDEST_TRANSACTION,
    OPERATOR_NEEDED,
    OVERDUE_P50,
    OVERDUE_P95,
    OVERDUE_P99,
    PAUSED_UNTIL,
    PAUSES,
    QUEUE_DEPTH,
    READS_WITHIN,
    STUCK,
    WORKER_THREADS,
    WORKERS_ALIVE,
    FleetGauge,
)
from shared.operations import fleet
from shared.quota.pauses import stops
from shared.redis_client import RedisClient
from shared.refresh_state.invariants import Breach, count_stuck
from shared.vocabulary import AccountState, Lane, PauseKind, Platform

SAMPLED_PAGES = 1_000
"""Pages of ``refresh_state`` in a sample: all of a small table, about 60,000 rows of a large one."""

Sample = tuple[FleetGauge, tuple[str, ...], float]
"""A gauge, the values of its labels, and its value."""

# A row that waits for its stale_after is fresh; every other reason says that it should be read by now.
_SAMPLE = text("""
SELECT a.platform,
       avg(CAST(s.reason = 'stale' AND s.next_run_at > now() AS int)) AS fresh,
       percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (
           ORDER BY GREATEST(EXTRACT(epoch FROM now() - s.next_run_at), 0)) AS overdue
  FROM refresh_state s TABLESAMPLE SYSTEM (:percent)
  JOIN accounts a ON a.account_id = s.account_id AND a.state = 'active'
 WHERE s.next_run_at IS NOT NULL
 GROUP BY a.platform
""")

_PAGES = text("SELECT pg_relation_size('refresh_state') / current_setting('block_size')::int")

_PAUSES = text("""
SELECT platform, kind, count(*) AS pauses, EXTRACT(epoch FROM max(paused_until)) AS until
  FROM pauses WHERE paused_until > now() GROUP BY platform, kind
""")

# PostgreSQL shows a session the transactions of the user that it acts as, which is not its service's role.
_AS_THE_USER = text("SET LOCAL ROLE NONE")
_TRANSACTIONS = text("""
SELECT COALESCE(max(EXTRACT(epoch FROM now() - xact_start)), 0) AS oldest FROM pg_stat_activity
 WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
""")


_ERASURES = text("""
SELECT count(*) AS number, COALESCE(max(EXTRACT(epoch FROM now() - requested_at)), 0) AS oldest
  FROM erasures WHERE ended_at IS NULL
""")


_READS_WITHIN = text("""
WITH day AS (
    SELECT workspace_id, platform, CAST(sum(reads) AS float8) AS reads, sum(within) AS within
      FROM read_accuracy WHERE hour > now() - interval '1 day' GROUP BY 1, 2
), most AS (
    SELECT workspace_id FROM day GROUP BY 1 ORDER BY sum(reads) DESC LIMIT 200
)
SELECT workspace_id, platform, within / reads AS share FROM day JOIN most USING (workspace_id)
""")


def reads_within(connection: Connection) -> Iterator[Sample]:
    """Yield the part of reads that were probably within 5 %, by workspace and platform."""
    for row in connection.execute(_READS_WITHIN):
        yield READS_WITHIN, (row.workspace_id, row.platform), row.share


def overdue(connection: Connection) -> Iterator[Sample]:
    """Yield the longest wait of a due row, by platform, apart for rows that a pause holds up."""
    for oldest in fleet.oldest_overdue(connection):
        yield OLDEST_OVERDUE, (oldest.platform, "true" if oldest.paused else "false"), oldest.seconds or 0.0


def sample(connection: Connection) -> Iterator[Sample]:
    """Yield percentiles of being overdue and the fresh part, by platform, of a sample of polled rows."""
    pages = connection.execute(_PAGES).scalar_one()
    percent = 100.0 if pages <= SAMPLED_PAGES else 100.0 * SAMPLED_PAGES / pages
    for row in connection.execute(_SAMPLE, {"percent": percent}):
        yield FRESH, (row.platform,), float(row.fresh)
        for gauge, seconds in zip((OVERDUE_P50, OVERDUE_P95, OVERDUE_P99), row.overdue, strict=True):
            yield gauge, (row.platform,), float(seconds)


def accounts(connection: Connection) -> Iterator[Sample]:
    """Yield the number of accounts, by platform and state."""
    counts = fleet.accounts_by_state(connection)
    for platform in {platform for platform, _ in counts}:
        for state in AccountState:
            yield ACCOUNTS, (platform, state.value), counts.get((platform, state.value), 0)


def claimed(connection: Connection) -> Iterator[Sample]:
    """Yield the number of claimed rows, by platform."""
    for platform, rows in fleet.claimed(connection).items():
        yield CLAIMED, (platform,), rows


def paused(connection: Connection) -> Iterator[Sample]:
    """Yield the pauses in force, and when the last of them ends, by platform and kind."""
    for row in connection.execute(_PAUSES):
        yield PAUSES, (row.platform, row.kind), row.pauses
        yield PAUSED_UNTIL, (row.platform, row.kind), float(row.until)


def operator_needed(connection: Connection) -> Iterator[Sample]:
    """Yield how many stops need an operator, by platform and kind."""
    counts = Counter((stop.platform, stop.kind) for stop in stops(connection))
    for platform in Platform:
        for kind in PauseKind:
            if kind.needs_operator:
                yield OPERATOR_NEEDED, (platform.value, kind.value), counts[platform.value, kind]


def stuck(connection: Connection) -> Iterator[Sample]:
    """Yield the rows that break `shared.refresh_state.invariants`, by platform and breach."""
    counts = count_stuck(connection)
    for platform in Platform:
        for breach in Breach:
            yield STUCK, (platform.value, breach.value), counts.get((platform.value, breach), 0)


def transactions(connection: Connection) -> Iterator[Sample]:
    """Yield the age of the oldest transaction of our user: a long one slows a queue table before volume does.

    The transaction goes on with the rights of the user who has logged in.
    """
    connection.execute(_AS_THE_USER)
    yield OLDEST_TRANSACTION, (), float(connection.execute(_TRANSACTIONS).scalar_one())


def erasures(connection: Connection) -> Iterator[Sample]:
    """Yield how many erasures are open, and the age of the oldest; 0 when there is none."""
    row = connection.execute(_ERASURES).one()
    yield ERASURES_OPEN, (), row.number
    yield OLDEST_ERASURE, (), float(row.oldest)


def queue(client: RedisClient) -> Iterator[Sample]:
    """Yield the queues' depths in Redis, and the workers that are alive to take from them."""
    for lane in Lane:
        yield QUEUE_DEPTH, (lane.value,), refresh_queue.depth(client, lane)
    alive = refresh_queue.workers_alive(client)
    yield WORKERS_ALIVE, (), len(alive)
    yield WORKER_THREADS, (), sum(alive.values())


FROM_DATABASE: tuple[Callable[[Connection], Iterator[Sample]], ...] = (
    overdue,
    sample,
    accounts,
    claimed,
    paused,
    operator_needed,
    transactions,
    snapshots,
    erasures,
    webhooks,
    feed_held,
)
"""The queries of PostgreSQL; with `queue`, their names are the values of the label ``read``."""

FROM_DATABASE_RARELY: tuple[Callable[[Connection], Iterator[Sample]], ...] = (stuck, reads_within)
"""Queries whose cost grows with the table, if slowly."""
