"""Transition ``claim``: due rows, chosen by fair share and within the caps, are leased as jobs.

Leaderless: any number of schedulers may claim at once. A claim first chooses accounts by fair share
(`shared.refresh_state.fair_share`) and locks them, one claim an account. Then it reserves their jobs where
other claims see them before the commit. Then it counts the jobs in flight again and takes rows as far as the
caps allow. So no cap is ever exceeded, and only claims of one workspace wait for each other, where the jobs
given to that workspace are counted.

An account with a hundred thousand due rows gets one job like every other account and cannot hide them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import ceil, sqrt
from typing import Any

from sqlalchemy import Connection, Row, text

from shared.batches import batch_size, is_topped_up
from shared.refresh_queue import RefreshJob
from shared.refresh_state.fair_share import IN_FLIGHT, choose
from shared.vocabulary import Lane, Platform

JOBS_PER_ACCOUNT = 4
"""Jobs of one account in flight at most: enough to use its limits, few enough to meet a dead token early."""

SUSPECT_STARTS = 2
"""Starts without a finish that make a row suspect: it may be what kills its workers. Suspects are handed out
one at a time in the whole fleet, so that the one at fault takes no other row with it into quarantine."""

_RESERVED_LOCK = 720_572_000
"""First half of the advisory locks that reserve jobs, plus a platform's number; the second half: how many."""

_NUMBERS = {platform.value: number for number, platform in enumerate(sorted(Platform))}
_CAPS = {"account_jobs": JOBS_PER_ACCOUNT, "suspect": SUSPECT_STARTS}
_COLUMNS = ("account_id", "workspace_id", "platform", "batch", "top_up", "weight", "served")

_RESERVE = text("""
SELECT pg_advisory_xact_lock_shared(:reserved + number, jobs)
  FROM unnest(CAST(:numbers AS int[]), CAST(:jobs AS int[])) AS r (number, jobs)
""")
"""Shows other claims how many jobs of each platform this one is about to take, before it commits."""

_RESERVED = text("""
SELECT CAST(CAST(classid AS bigint) - :reserved AS int) AS number,
       CAST(sum(CAST(objid AS bigint)) AS int) AS jobs
  FROM pg_locks
 WHERE locktype = 'advisory' AND mode = 'ShareLock' AND pid <> pg_backend_pid()
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND CAST(classid AS bigint) BETWEEN :reserved AND :reserved + :platforms
 GROUP BY 1
""")
"""Jobs that other claims have reserved and not committed yet."""

_CLAIM = """
WITH requested AS (
    SELECT * FROM unnest(
        CAST(:account_id AS text[]), CAST(:workspace_id AS text[]), CAST(:platform AS text[]),
        CAST(:batch AS int[]), CAST(:top_up AS float8[]), CAST(:capacities AS int[]),
        CAST(:weight AS float8[]), CAST(:served AS float8[])
    ) WITH ORDINALITY
      AS c (account_id, workspace_id, platform, batch, top_up, capacity, weight, served, place)
), {in_flight}
), chosen AS (
    -- counted again: what was committed since the accounts were chosen is seen here
    SELECT c.* FROM (
        SELECT requested.*, row_number() OVER (PARTITION BY platform ORDER BY place) AS rank_on_platform
          FROM requested LEFT JOIN in_flight f USING (account_id) WHERE COALESCE(f.jobs, 0) < :account_jobs
    ) c LEFT JOIN platform_jobs p USING (platform)
     WHERE rank_on_platform <= capacity - COALESCE(p.jobs, 0)
), picked AS (
    SELECT r.publication_id, r.expired, r.unfinished, c.account_id, c.workspace_id, c.weight, c.served
      FROM chosen c
     CROSS JOIN LATERAL (
           SELECT s.publication_id, s.unfinished, s.claimed_at IS NOT NULL AS expired FROM refresh_state s
            WHERE s.account_id = c.account_id {same_lane}
              AND (s.unfinished < :suspect OR s.claimed_at IS NULL
                   OR s.publication_id = (SELECT publication_id FROM next_suspect))
              AND (s.next_run_at <= now()
                   OR (s.next_run_at <= now() + make_interval(secs => c.top_up)
                       AND s.claimed_at IS NULL AND s.reason = 'stale'))
            ORDER BY s.next_run_at LIMIT c.batch
              FOR UPDATE OF s SKIP LOCKED) r
), counted AS (
    INSERT INTO turns AS t (scope, subject, weight, served)
    SELECT * FROM (
        SELECT 'account' AS scope, account_id AS subject, 1.0 AS weight, 1.0 AS served FROM picked GROUP BY 2
         UNION ALL
        SELECT 'workspace', workspace_id, weight, served + count(DISTINCT account_id) / weight
          FROM picked GROUP BY workspace_id, weight, served
    ) jobs ORDER BY scope, subject
    ON CONFLICT (scope, subject) DO UPDATE
       SET served = excluded.served, served_at = now()
)
UPDATE refresh_state AS r
   SET next_run_at = now() + make_interval(secs => :lease), claim_seq = r.claim_seq + 1,
       claimed_at = now(), reason = 'claimed'
  FROM picked
 WHERE r.publication_id = picked.publication_id
RETURNING r.publication_id, r.account_id, r.claim_seq, picked.expired, picked.unfinished
"""

_CLAIM_STATEMENTS = {
    lane: text(
        _CLAIM.format(
            in_flight=IN_FLIGHT[lane], same_lane="AND s.priority > 0" if lane is Lane.INTERACTIVE else ""
        )
    )
    for lane in Lane
}


@dataclass(frozen=True, slots=True)
class Claims:
    """The jobs of one claim, and how many of its rows had an expired lease."""

    jobs: tuple[RefreshJob, ...]
    rows: int
    expired_leases: int


def claim(
    connection: Connection,
    lane: Lane,
    *,
    jobs: int,
    platform_jobs: int,
    shared_jobs: int | None = None,
    lease: timedelta,
    top_up: Mapping[Platform, timedelta],
) -> Claims:
    """Claim up to ``jobs`` jobs, one an account, and return them; the caller enqueues them after the commit.

    ``platform_jobs``: how many jobs of one platform may be in flight in the whole fleet. ``shared_jobs``: how
    many the platforms share evenly while several have work (``None``: they need not share). ``top_up``: how
    long before its due time a row may join a job of its account, by platform.
    """
    sizes = [(platform, kind) for platform in Platform for kind in (None, "member")]
    limits = {
        "platforms": [platform.value for platform, _ in sizes],
        "members": [kind == "member" for _, kind in sizes],
        "batches": [batch_size(platform, kind) for platform, kind in sizes],
        "top_ups": [
            top_up[platform].total_seconds()
            if lane is Lane.BACKGROUND and is_topped_up(platform, kind)
            else 0.0
            for platform, kind in sizes
        ],
        "platform_jobs": platform_jobs,
        "shared_jobs": shared_jobs,
        "jobs": jobs,
        **_CAPS,
    }
    chosen = choose(connection, lane, limits)
    if not chosen:
        return Claims((), 0, 0)
    reserved = _reserve(connection, Counter(account.platform for account in chosen))
    columns = {name: [getattr(account, name) for account in chosen] for name in _COLUMNS}
    capacities = [account.capacity - reserved[account.platform] for account in chosen]
    parameters = {**columns, **_CAPS, "capacities": capacities, "lease": lease.total_seconds()}
    place = {account.account_id: number for number, account in enumerate(chosen)}
    claimed = connection.execute(_CLAIM_STATEMENTS[lane], parameters)
    rows = sorted(claimed, key=lambda row: place[row.account_id])
    return Claims(tuple(_jobs(rows)), len(rows), sum(row.expired for row in rows))


def _reserve(connection: Connection, jobs: Mapping[str, int]) -> Mapping[str, int]:
    """Reserve these numbers of jobs by platform; return how many other claims have reserved, not committed.

    Reserving comes first: of two concurrent claims, at least the later one sees the other. Jobs in flight are
    counted last: a claim that commits in between is counted twice, never missed.
    """
    numbers = [_NUMBERS[platform] for platform in jobs]
    connection.execute(
        _RESERVE, {"reserved": _RESERVED_LOCK, "numbers": numbers, "jobs": list(jobs.values())}
    )
    reserved = connection.execute(_RESERVED, {"reserved": _RESERVED_LOCK, "platforms": len(_NUMBERS)})
    others = {row.number: row.jobs for row in reserved}
    return {platform: others.get(_NUMBERS[platform], 0) for platform in jobs}


def _jobs(rows: Sequence[Row[Any]]) -> Iterator[RefreshJob]:
    """Yield one job for each account, and separate jobs for rows whose worker was lost.

    Rows that were lost together are retried in groups of the square root of their number: the row that killed
    their worker is in one group, so a batch of a hundred costs ten calls now, and ten more when that group is
    lost again. Each suspect is a job of its own.
    """
    groups: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for row in rows:
        lost = min(row.unfinished, SUSPECT_STARTS)
        groups.setdefault((row.account_id, lost), []).append((row.publication_id, row.claim_seq))
    for (account_id, lost), claims in groups.items():
        claims.sort()
        size = _group_size(len(claims), lost)
        for first in range(0, len(claims), size):
            yield RefreshJob(account_id, tuple(claims[first : first + size]))


def _group_size(rows: int, lost: int) -> int:
    if lost >= SUSPECT_STARTS:
        return 1
    return ceil(sqrt(rows)) if lost else rows
