"""``make bench-smoke``: how fast the whole pipeline is on this machine, measured through public interfaces.

Starts ``dravo up`` in a fresh directory and measures with the database's clock: the time from the start to
the first synced row; from an accepted ``publication.published`` event to its row synced; and publications
refreshed a second, end to end, with simulated platforms without latency.
"""

import argparse
import json
import os
import statistics
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg

from deploy.bench.local_stack import LocalStack, local_stack
from deploy.bench.work_directory import work_directory
from deploy.local.servers.server_process import free_port

_TIMEOUT = timedelta(minutes=3)

_CHUNK = 500
_PER_ACCOUNT = 1_000
_LONG_AGO = (datetime.now(UTC) - timedelta(days=60)).isoformat()  # too old for X's second, private read


class Bench:
    """A running ``dravo up``, reached over HTTP, the simulators' control and the database."""

    def __init__(self, stack: LocalStack) -> None:
        self.api = stack.url
        self.secret = stack.settings["DRAVO_INTERNAL_TOKEN"]
        self.control = stack.settings["SIMULATORS_CONTROL"]
        url = stack.settings["DRAVO_DATABASE_URL"].replace("postgresql+psycopg://", "postgresql://")
        self.database = psycopg.connect(url, autocommit=True)

    def events(self, events: list[dict[str, Any]]) -> None:
        """Send events as the rest of Dravo does."""
        answer = httpx.post(
            f"{self.api}/internal/events",
            json=events,
            headers={"Authorization": f"Bearer {self.secret}"},
            timeout=60,
        )
        answer.raise_for_status()

    def simulate(self, collection: str, rows: list[dict[str, Any]]) -> None:
        """Add accounts or posts to the simulated platforms."""
        httpx.post(f"{self.control}/{collection}", json=rows, timeout=60).raise_for_status()

    def synced(self, prefix: str, since: datetime | None = None) -> int:
        """Return how many rows of the accounts with this prefix were refreshed since then."""
        query = (
            "SELECT count(*) FROM publications p JOIN post_analytics a ON a.publication_id = p.id"
            " WHERE p.account_id LIKE %s AND a.last_updated_at >= %s"
        )
        return int(self.one(query, f"acc_{prefix}%", since or datetime.min.replace(tzinfo=UTC)))

    def one(self, query: str, *parameters: object) -> Any:
        """Return the first column of the first row."""
        row = self.database.execute(query.encode(), parameters).fetchone()
        return row[0] if row else None


@contextmanager
def running(port: int) -> Iterator[tuple[Bench, datetime]]:
    """Run ``dravo up`` until the block ends; yield the running system and the instant of its start."""
    started_at = datetime.now(UTC)
    with work_directory() as directory, local_stack(directory / "data", port, freshness="1h") as stack:
        yield Bench(stack), started_at


def until(condition: Any, what: str) -> None:
    """Wait until a condition holds; end the run when it does not hold in time."""
    deadline = time.monotonic() + _TIMEOUT.total_seconds()
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"timed out waiting for {what}")
        time.sleep(0.02)


def first_row(bench: Bench, started_at: datetime) -> float:
    """Return the seconds from the start of ``dravo up`` to the first synced row."""
    query = "SELECT min(last_updated_at) FROM post_analytics"
    until(lambda: bench.one(query) is not None, "the first row")
    seconds: float = (bench.one(query) - started_at).total_seconds()
    return seconds


def published_to_synced(bench: Bench, events: int) -> list[float]:
    """Return, per event, the seconds from its commit to its row synced; one event at a time."""
    account = _account("latency")
    bench.simulate("accounts", [account])
    bench.simulate("posts", [_post(account, number) for number in range(events)])
    bench.events([_connected(account)])
    for number in range(events):
        bench.events([_published(account, number)])
        until(lambda number=number: bench.synced("latency") > number, "a published row")
    rows = bench.database.execute(
        "SELECT extract(epoch FROM a.last_updated_at - e.received_at)::float8"
        " FROM publications p JOIN post_analytics a ON a.publication_id = p.id"
        " JOIN events_seen e ON e.event_id = 'evt_' || p.post_id WHERE p.account_id = 'acc_latency'"
    ).fetchall()
    return sorted(row[0] for row in rows)


def throughput(bench: Bench, publications: int) -> float:
    """Return publications refreshed a second: many accounts, all rows due at one instant."""
    accounts = [_account(f"load{number}") for number in range(max(1, publications // _PER_ACCOUNT))]
    bench.simulate("accounts", accounts)
    bench.events([_connected(account) for account in accounts])
    for account in accounts:
        for start in range(0, _PER_ACCOUNT, _CHUNK):
            chunk = range(start, start + _CHUNK)
            bench.simulate("posts", [_post(account, number) for number in chunk])
            bench.events([_published(account, number) for number in chunk])
    total = len(accounts) * _PER_ACCOUNT
    until(lambda: bench.synced("load") == total, "the first reads")
    began_at = bench.one(
        "WITH due AS (UPDATE refresh_state SET next_run_at = now(), reason = 'stale'"
        " WHERE account_id LIKE 'acc_load%%' RETURNING 1) SELECT now() FROM due LIMIT 1"
    )
    until(lambda: bench.synced("load", began_at) == total, "the second reads")
    ended_at = bench.one("SELECT max(last_updated_at) FROM post_analytics")
    rate: float = total / (ended_at - began_at).total_seconds()
    return rate


def _account(name: str) -> dict[str, Any]:
    return {
        "platform": "x",
        "platform_account_id": name,
        "access_token": f"bench-token-of-{name}",
        "scopes": ["tweet.read", "users.read"],
    }


def _post(account: dict[str, Any], number: int) -> dict[str, Any]:
    owner = account["platform_account_id"]
    return {
        "platform": "x",
        "platform_post_id": _post_id(owner, number),
        "owner": owner,
        "created_at": _LONG_AGO,
    }


def _post_id(owner: str, number: int) -> str:
    return f"1{zlib.crc32(owner.encode()):010}{number:07}"  # X has no id with a leading zero


def _connected(account: dict[str, Any]) -> dict[str, Any]:
    own = {"account_id": f"acc_{account['platform_account_id']}", "workspace_id": "ws_bench"}
    return {"event_id": f"evt_{own['account_id']}", "type": "account.connected", "data": {**account, **own}}


def _published(account: dict[str, Any], number: int) -> dict[str, Any]:
    owner = account["platform_account_id"]
    data = {
        "post_id": f"{owner}_{number}",
        "account_id": f"acc_{owner}",
        "platform_post_id": _post_id(owner, number),
        "created_at": _LONG_AGO,
    }
    return {"event_id": f"evt_{data['post_id']}", "type": "publication.published", "data": data}


def main() -> int:
    """Measure, and print a table or, with ``--json``, one document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=40)
    parser.add_argument("--publications", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with running(free_port()) as (bench, started_at), bench.database:
        figures = {
            "seconds_to_first_synced_row": round(first_row(bench, started_at), 2),
            **_latencies(published_to_synced(bench, options.events)),
            "publications_per_second": round(throughput(bench, options.publications)),
        }
    figures |= {"events": options.events, "publications": options.publications, "cores": os.cpu_count() or 0}
    if options.json:
        sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    else:
        sys.stdout.writelines(f"{name.replace('_', ' '):<45} {value}\n" for name, value in figures.items())
    return 0


def _latencies(seconds: list[float]) -> dict[str, float]:
    ninety_fifth = seconds[min(len(seconds) - 1, int(len(seconds) * 0.95))]
    return {
        "published_to_synced_p50_seconds": round(statistics.median(seconds), 3),
        "published_to_synced_p95_seconds": round(ninety_fifth, 3),
    }


if __name__ == "__main__":
    sys.exit(main())
