"""The looks at the stores that tell how the whole fleet does, each a generator of facts.

Cheap at any size: the oldest overdue row is one index probe an account, as in a claim; the shares and
percentiles come from a sample of whole pages, so that they cost the same at a hundred thousand rows and at a
hundred million; nothing counts rows that nobody has bounded.
"""

from collections.abc import Callable, Iterator

from sqlalchemy import Connection, text

from shared import refresh_queue
from shared.observability.metrics import (
    ACCOUNTS,
    CLAIMED,
    FRESH,
    OLDEST_OVERDUE,
    OLDEST_TRANSACTION,
    OVERDUE_P50,
    OVERDUE_P95,
    OVERDUE_P99,
    PAUSED_UNTIL,
    PAUSES,
    QUEUE_DEPTH,
    STUCK,
    WORKER_THREADS,
    WORKERS_ALIVE,
    FleetGauge,
)
from shared.quota.pauses import NOT_PAUSED
from shared.redis_client import RedisClient
from shared.refresh_state.invariants import Breach, count_stuck
from shared.vocabulary import AccountState, Lane, Platform

SAMPLED_PAGES = 1_000
"""Pages of ``refresh_state`` in a sample: all of a small table, about 60,000 rows of a large one."""

Value = tuple[FleetGauge, tuple[str, ...], float]
"""A fact, the values of its labels, and its value."""

_OVERDUE = text(f"""
SELECT platform, paused, COALESCE(EXTRACT(epoch FROM now() - min(next_run_at)), 0) AS oldest
  FROM (SELECT a.platform, NOT ({NOT_PAUSED}) AS paused, first.next_run_at
          FROM accounts a
          LEFT JOIN LATERAL (
               SELECT r.next_run_at FROM refresh_state r
                WHERE r.account_id = a.account_id AND r.next_run_at <= now()
                ORDER BY r.next_run_at LIMIT 1) first ON true
         WHERE a.state = 'active') accounts
 GROUP BY platform, paused
""")  # noqa: S608 - the condition is a constant of ours

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

_ACCOUNTS = text("SELECT platform, state, count(*) AS accounts FROM accounts GROUP BY platform, state")

# Bounded by what the fleet can hold; the partial index finds them.
_CLAIMED = text("""
SELECT a.platform, count(r.claimed_at) AS claimed
  FROM accounts a LEFT JOIN refresh_state r ON r.account_id = a.account_id AND r.claimed_at IS NOT NULL
 GROUP BY a.platform
""")

_PAUSES = text("""
SELECT platform, kind, count(*) AS pauses, EXTRACT(epoch FROM max(paused_until)) AS until
  FROM pauses WHERE paused_until > now() GROUP BY platform, kind
""")

# Ours only: what other roles do is not shown to us.
_TRANSACTIONS = text("""
SELECT COALESCE(max(EXTRACT(epoch FROM now() - xact_start)), 0) AS oldest FROM pg_stat_activity
 WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
""")


def overdue(connection: Connection) -> Iterator[Value]:
    """Yield the longest wait of a due row, by platform, apart for rows that a pause holds back."""
    for row in connection.execute(_OVERDUE):
        yield OLDEST_OVERDUE, (row.platform, "true" if row.paused else "false"), float(row.oldest)


def sample(connection: Connection) -> Iterator[Value]:
    """Yield percentiles of being overdue and the fresh part, by platform, of a sample of polled rows."""
    pages = connection.execute(_PAGES).scalar_one()
    percent = 100.0 if pages <= SAMPLED_PAGES else 100.0 * SAMPLED_PAGES / pages
    for row in connection.execute(_SAMPLE, {"percent": percent}):
        yield FRESH, (row.platform,), float(row.fresh)
        for fact, seconds in zip((OVERDUE_P50, OVERDUE_P95, OVERDUE_P99), row.overdue, strict=True):
            yield fact, (row.platform,), float(seconds)


def accounts(connection: Connection) -> Iterator[Value]:
    """Yield the number of accounts, by platform and state."""
    counts = {(row.platform, row.state): row.accounts for row in connection.execute(_ACCOUNTS)}
    for platform in {platform for platform, _ in counts}:
        for state in AccountState:
            yield ACCOUNTS, (platform, state.value), counts.get((platform, state.value), 0)


def claimed(connection: Connection) -> Iterator[Value]:
    """Yield the number of open claims, by platform."""
    for row in connection.execute(_CLAIMED):
        yield CLAIMED, (row.platform,), row.claimed


def paused(connection: Connection) -> Iterator[Value]:
    """Yield the pauses in force, and when the last of them ends, by platform and kind."""
    for row in connection.execute(_PAUSES):
        yield PAUSES, (row.platform, row.kind), row.pauses
        yield PAUSED_UNTIL, (row.platform, row.kind), float(row.until)


def stuck(connection: Connection) -> Iterator[Value]:
    """Yield the rows that break `shared.refresh_state.invariants`, by platform and breach."""
    counts = count_stuck(connection)
    for platform in Platform:
        for breach in Breach:
            yield STUCK, (platform.value, breach.value), counts.get((platform.value, breach), 0)


def transactions(connection: Connection) -> Iterator[Value]:
    """Yield the age of the oldest transaction: a long one ruins a queue table faster than volume does."""
    yield OLDEST_TRANSACTION, (), float(connection.execute(_TRANSACTIONS).scalar_one())


def queue(client: RedisClient) -> Iterator[Value]:
    """Yield what waits in Redis and who is there to take it."""
    for lane in Lane:
        yield QUEUE_DEPTH, (lane.value,), refresh_queue.depth(client, lane)
    alive = refresh_queue.workers_alive(client)
    yield WORKERS_ALIVE, (), len(alive)
    yield WORKER_THREADS, (), sum(alive.values())


AT_DATABASE: tuple[Callable[[Connection], Iterator[Value]], ...] = (
    overdue,
    sample,
    accounts,
    claimed,
    paused,
    transactions,
)
"""The looks at PostgreSQL; with `queue`, their names are the values of the label ``read``."""

AT_DATABASE_RARELY: tuple[Callable[[Connection], Iterator[Value]], ...] = (stuck,)
"""Looks whose cost grows with the table, if slowly."""
