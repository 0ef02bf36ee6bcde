"""``python -m deploy.bench.throughput.noop``: the queue's own speed, one message without work for each row.

It runs dramatiq with its default middleware, on the same Redis and with the same threads as the workers.
"""

import argparse
import subprocess
import sys
import time
from typing import Final

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from deploy.bench.throughput.drain import drain
from shared.redis_client import connect

_QUEUE: Final = "noop"


def _broker(url: str) -> RedisBroker:
    broker = RedisBroker(url=url)
    declare = dramatiq.actor(actor_name="noop", queue_name=_QUEUE, broker=broker)
    declare(_nothing)
    return broker


def _nothing() -> None:
    """Do nothing."""


def measure(
    url: str, *, workers: int, threads: int, seconds: float, messages: int = 8_000
) -> tuple[float, float]:
    """Return the messages drained per second, and the workers' CPU time for each in microseconds."""
    with connect(url) as redis:
        redis.flushdb()
        broker = _broker(url)
        for _ in range(messages):
            broker.enqueue(dramatiq.Message(_QUEUE, "noop", (), {}, {}))
        command = [sys.executable, "-m", __spec__.name if __spec__ else "", "--threads", str(threads)]
        running = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(workers)]
        for process in running:
            if process.stdin:
                process.stdin.write(url.encode())
                process.stdin.close()
        return drain(redis, _QUEUE, running, begin_at=messages * 0.95, end_at=500, seconds=seconds)


def main() -> None:
    """Drain the queue until the process is ended; the address of Redis comes from stdin."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=8)
    threads = parser.parse_args().threads
    worker = dramatiq.Worker(_broker(sys.stdin.read()), worker_threads=threads)
    worker.start()
    worker.join()
    time.sleep(3_600)


if __name__ == "__main__":
    main()
