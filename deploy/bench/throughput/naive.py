"""``python -m deploy.bench.throughput.naive``: the naive design, one message, one call and one commit a row.

It does the same work, written as well as that design allows: pooled connections to the database and to the
platform, one query for what it needs and one transaction for what it stores. It has no leases, no fencing, no
shared budgets, no retries and no claims: all messages are in the queue when the measurement begins.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import dramatiq
import httpx
from dramatiq.brokers.redis import RedisBroker
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool
from pydantic import SecretStr

from deploy.bench.throughput.drain import drain
from deploy.bench.throughput.fleet import Fleet
from deploy.bench.throughput.rows import Database
from shared.accounts.vault import Vault
from shared.redis_client import connect
from shared.vocabulary import Platform

_QUEUE: Final = "naive"
_READ: Final = """
SELECT p.platform_post_id, a.sealed_access_token
  FROM publications p JOIN accounts a ON a.account_id = p.account_id WHERE p.id = %s
"""
_STORE: Final = """
WITH snapshot AS (
    INSERT INTO snapshots (publication_id, taken_at, last_seen_at, claim_seq, sync_status, metrics)
    VALUES (%(id)s, now(), now(), 0, 'synced', %(metrics)s)
), next AS (
    UPDATE refresh_state SET next_run_at = now() + interval '6 hours' WHERE publication_id = %(id)s
)
UPDATE post_analytics
   SET sync_status = 'synced', metrics = %(metrics)s, warnings = '{}', error_message = NULL,
       last_updated_at = now(), stale_after = now() + interval '6 hours', snapshot_at = now()
 WHERE publication_id = %(id)s
"""


def _x(client: httpx.Client, post_id: str, token: str) -> Mapping[str, int]:
    query = {"ids": post_id, "tweet.fields": "public_metrics"}
    answer = client.get("/2/tweets", params=query, headers={"Authorization": f"Bearer {token}"})
    metrics: Mapping[str, int] = answer.json()["data"][0]["public_metrics"]
    return metrics


def _tiktok(client: httpx.Client, post_id: str, token: str) -> Mapping[str, int]:
    answer = client.post(
        "/v2/video/query/?fields=id,view_count,like_count,comment_count,share_count",
        json={"filters": {"video_ids": [post_id]}},
        headers={"Authorization": f"Bearer {token}"},
    )
    video = answer.json()["data"]["videos"][0]
    return {name: count for name, count in video.items() if name != "id"}


FETCHES: Final[Mapping[Platform, Callable[[httpx.Client, str, str], Mapping[str, int]]]] = {
    Platform.X: _x,
    Platform.TIKTOK: _tiktok,
}
"""The platforms that it can call."""


def _broker(url: str, refresh: Callable[[int], None]) -> RedisBroker:
    broker = RedisBroker(url=url)
    declare = dramatiq.actor(actor_name="naive", queue_name=_QUEUE, broker=broker)
    declare(refresh)
    return broker


def measure(
    running: Fleet, database: Database, platform: Platform, *, workers: int, threads: int, seconds: float
) -> tuple[float, float]:
    """Return the rows refreshed per second, and the workers' CPU time for each in microseconds."""
    settings = running.environment
    rows = database.execute(
        "SELECT p.id FROM publications p WHERE p.platform = %s ORDER BY p.id LIMIT 20000", (platform.value,)
    ).fetchall()
    with connect(settings["DRAVO_REDIS_URL"]) as redis:
        redis.flushdb()
        broker = _broker(settings["DRAVO_REDIS_URL"], lambda _id: None)
        for (publication_id,) in rows:
            broker.enqueue(dramatiq.Message(_QUEUE, "naive", (publication_id,), {}, {}))
        given = json.dumps({**settings, "platforms": running.platforms, "platform": platform.value})
        command = [sys.executable, "-m", "deploy.bench.throughput.naive", "--threads", str(threads)]
        processes = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(workers)]
        for process in processes:
            if process.stdin:
                process.stdin.write(given.encode())
                process.stdin.close()
        return drain(redis, _QUEUE, processes, begin_at=len(rows) * 0.99, end_at=50, seconds=seconds)


def _work(given: Mapping[str, Any], threads: int) -> None:
    url = given["DRAVO_DATABASE_URL"].replace("postgresql+psycopg://", "postgresql://")
    pool = ConnectionPool(url, min_size=threads, max_size=threads, open=True)
    client = httpx.Client(base_url=given["platforms"])
    vault = Vault([SecretStr(given["DRAVO_SECRET_KEYS"])])
    fetch = FETCHES[Platform(given["platform"])]

    def refresh(publication_id: int) -> None:
        with pool.connection() as connection:
            ((post_id, sealed),) = connection.execute(_READ, (publication_id,)).fetchall()
        metrics = fetch(client, post_id, vault.open(sealed).get_secret_value())
        with pool.connection() as connection:
            connection.execute(_STORE, {"id": publication_id, "metrics": Jsonb(metrics)})

    worker = dramatiq.Worker(_broker(given["DRAVO_REDIS_URL"], refresh), worker_threads=threads)
    worker.start()
    time.sleep(3_600)


def main() -> None:
    """Work until the process is ended; the settings come from stdin."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=8)
    threads = parser.parse_args().threads
    _work(json.load(sys.stdin), threads)


if __name__ == "__main__":
    main()
