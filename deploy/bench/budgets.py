"""``python -m deploy.bench.budgets``: how many decisions about two buckets the fleet's budgets make a second.

Starts a Valkey of its own and reserves calls from two processes, then from two threads of one process, for
`--seconds` each: the account's and the endpoint's bucket, background lane, 1,000 accounts. The limits are
never reached, as a refusal writes nothing and would be cheaper.
"""

import argparse
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from datetime import timedelta
from functools import partial

from deploy.bench.work_directory import work_directory
from deploy.local.servers.valkey import Valkey
from shared.quota.budgets import Budgets
from shared.quota.limits import Bucket, Rate
from shared.redis_client import connect
from shared.vocabulary import BucketKind, Lane, Platform

TARGET = 8_000
"""Decisions a second on two cores."""

_ACCOUNTS = 1_000
_AMPLE = Rate(1_000_000_000, timedelta(minutes=1))
_ENDPOINT = Bucket(Platform.TIKTOK, BucketKind.ENDPOINT, "video/query")


def decide(url: str, seconds: float, first: int) -> float:
    """Make decisions for this long; return the decisions a second."""
    client = connect(url)
    budgets = Budgets(client)
    requests = [
        ((_ENDPOINT, _AMPLE), (Bucket(Platform.TIKTOK, BucketKind.ACCOUNT, f"acc_{first + number}"), _AMPLE))
        for number in range(_ACCOUNTS)
    ]
    decisions = 0
    began = time.perf_counter()
    while (took := time.perf_counter() - began) < seconds:
        for pair in requests[:100]:
            budgets.reserve(pair, 1, Lane.BACKGROUND)
        requests = requests[100:] + requests[:100]
        decisions += 100
    client.close()
    return decisions / took


def measure(executor: Callable[[int], Executor], url: str, seconds: float) -> float:
    """Return the decisions a second of two workers of an executor together."""
    with executor(2) as pair:
        return sum(pair.map(partial(decide, url, seconds), (0, _ACCOUNTS)))


def main() -> int:
    """Measure and print; return 1 when the better of the two misses the target."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--seconds", type=float, default=5)
    seconds = options.parse_args().seconds
    with work_directory() as directory, Valkey(directory / "valkey") as server:
        rates = {
            "two processes": measure(ProcessPoolExecutor, server.url, seconds),
            "two threads": measure(ThreadPoolExecutor, server.url, seconds),
        }
    for what, rate in rates.items():
        sys.stdout.write(f"{rate:8,.0f} two-bucket decisions/s from {what}\n")
    return int(max(rates.values()) < TARGET)


if __name__ == "__main__":
    sys.exit(main())
