"""Several schedulers at once: throughput, the caps, and how far tenants lag behind their fair share."""

import multiprocessing
import time
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection, Engine, text

from deploy.bench.claims.rows import bench_database, load, maintain
from deploy.bench.claims.timing import Timings, table, timed
from deploy.local.servers.postgres import Postgres
from shared import database
from shared.refresh_queue import RefreshJob
from shared.refresh_state.claim import JOBS_PER_ACCOUNT, claim
from shared.refresh_state.ready.memory import ClaimMemory
from shared.refresh_state.ready.queue import add_due
from shared.vocabulary import Lane, Platform

_JOBS: Final = 16
_UNDER_WAY: Final = 2
"""How many claims of each scheduler are under way at once; then the oldest is finished."""

_FINISH: Final = text("""
UPDATE refresh_state AS r SET next_run_at = now(), reason = 'stale', claimed_at = NULL
  FROM unnest(CAST(:ids AS bigint[]), CAST(:seqs AS bigint[])) AS c (id, seq)
 WHERE r.publication_id = c.id AND r.claim_seq = c.seq
""")
_LARGEST: Final = text("""
SELECT (SELECT max(jobs) FROM (SELECT count(DISTINCT claimed_at) AS jobs FROM refresh_state
         WHERE claimed_at IS NOT NULL AND next_run_at > now() GROUP BY account_id) of_account),
       (SELECT count(DISTINCT (account_id, claimed_at)) FROM refresh_state
         WHERE claimed_at IS NOT NULL AND next_run_at > now())
""")


def report(server: Postgres, counts: Sequence[int], seconds: float) -> str:
    """Measure each number of schedulers on its own database; return the table."""
    rows = []
    for schedulers in counts:
        with bench_database(server, f"schedulers_{schedulers}") as engine:
            _all_due(engine, accounts=2_000, workspaces=40, rows=3)
            claimed, timings, _ = _run(server.url_of(f"schedulers_{schedulers}"), engine, schedulers, seconds)
        rows.append([schedulers, f"{sum(claimed.values()) / seconds:,.0f}", timings])
    head = (
        "schedulers",
        "jobs a second, claimed and finished",
        "claim of 16 jobs (CPU, time: median / p99, ms)",
    )
    return table("Several schedulers, 2,000 accounts in 40 workspaces", head, rows)


def fairness(server: Postgres, tenants: int, seconds: float) -> str:
    """One tenant has a hundred accounts, all others one, everything is due: eight schedulers."""
    large = 100
    with bench_database(server, "fairness") as engine:
        _all_due(engine, accounts=tenants + large - 1, workspaces=tenants, rows=3)
        with engine.begin() as connection:
            connection.execute(
                text("UPDATE accounts SET workspace_id = 'ws_0' WHERE platform_account_id::int >= :tenants"),
                {"tenants": tenants},
            )
        claimed, _, exceeded = _run(server.url_of("fairness"), engine, 8, seconds)
        with engine.connect() as connection:
            owners: dict[str, str] = dict(
                connection.execute(text("SELECT account_id, workspace_id FROM accounts")).all()
            )
    by_tenant = Counter({f"ws_{number}": 0 for number in range(tenants)})
    for account, jobs in claimed.items():
        by_tenant[owners[account]] += jobs
    share = by_tenant.total() / tenants
    head = ("tenants", "jobs", "fair share", "fewest", "most", "jobs of the large tenant", "caps exceeded")
    row = [
        f"{tenants:,}",
        f"{by_tenant.total():,}",
        f"{share:.2f}",
        min(by_tenant.values()),
        max(by_tenant.values()),
        by_tenant["ws_0"],
        exceeded,
    ]
    return table("Fairness: 8 schedulers, one tenant with 100 accounts, the others with one", head, [row])


def _all_due(engine: Engine, *, accounts: int, workspaces: int, rows: int) -> None:
    with engine.begin() as connection:
        load(connection, accounts, rows=rows, workspaces=workspaces, platforms=1)
    with engine.begin() as connection:
        connection.execute(text("UPDATE refresh_state SET next_run_at = now()"))
    maintain(engine, "VACUUM ANALYZE")


def _run(url: str, engine: Engine, schedulers: int, seconds: float) -> tuple[Counter[str], Timings, int]:
    """Let so many processes claim and finish; look at the caps meanwhile."""
    context = multiprocessing.get_context("spawn")
    results: Any = context.Queue()
    cap = schedulers * _JOBS * _UNDER_WAY
    processes = [
        context.Process(target=_schedule, args=(url, seconds, cap, results)) for _ in range(schedulers)
    ]
    for process in processes:
        process.start()
    claimed, timings, exceeded, ended = Counter[str](), Timings(), 0, 0
    while ended < schedulers:
        with engine.connect() as connection:
            of_account, in_flight = connection.execute(_LARGEST).one()
            exceeded += (of_account or 0) > JOBS_PER_ACCOUNT or in_flight > cap
        time.sleep(0.1)
        while not results.empty():
            jobs, of_one = results.get()
            claimed.update(jobs)
            timings.milliseconds += of_one.milliseconds
            timings.cpu += of_one.cpu
            ended += 1
    for process in processes:
        process.join()
    return claimed, timings, exceeded


def _schedule(url: str, seconds: float, cap: int, results: Any) -> None:
    engine = database.connect(url, application="bench-scheduler", pool_size=1)
    memory, timings, claimed = ClaimMemory(), Timings(), Counter[str]()
    under_way: list[tuple[RefreshJob, ...]] = []
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        with timed(engine, timings) as connection:
            claims = claim(
                connection,
                Lane.BACKGROUND,
                jobs=_JOBS,
                platform_jobs=cap,
                lease=timedelta(minutes=5),
                top_up=dict.fromkeys(Platform, timedelta()),
                memory=memory,
            )
        claimed.update(job.account_id for job in claims.jobs)
        under_way.append(claims.jobs)
        if claims.more_due:  # as the scheduler does
            with engine.begin() as connection:
                add_due(connection, Lane.BACKGROUND)
        if len(under_way) >= _UNDER_WAY or not claims.jobs:
            with engine.begin() as connection:
                _finish(connection, under_way.pop(0))
    engine.dispose()
    results.put((claimed, timings))


def _finish(connection: Connection, jobs: tuple[RefreshJob, ...]) -> None:
    claims = sorted(one for job in jobs for one in job.claims)
    bound = {"ids": [one for one, _ in claims], "seqs": [seq for _, seq in claims]}
    connection.execute(_FINISH, bound)
