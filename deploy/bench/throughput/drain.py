"""Measures how fast processes of dramatiq drain a queue; the benchmark's other contenders use it."""

import subprocess
import time
from collections.abc import Sequence
from typing import Final

from deploy.bench.throughput.fleet import cpu_seconds
from shared.redis_client import RedisClient

_BEGIN_WITHIN: Final = 120.0
_LOOK_EVERY: Final = 0.05


def drain(
    redis: RedisClient,
    queue: str,
    processes: "Sequence[subprocess.Popen[bytes]]",
    *,
    begin_at: float,
    end_at: float,
    seconds: float,
) -> tuple[float, float]:
    """Return the messages drained per second, and the CPU time for each in microseconds; then end everything.

    Measures from the moment when ``begin_at`` messages are left, for ``seconds`` or until ``end_at`` are.
    """
    key = f"dramatiq:{queue}.msgs"
    try:
        ends = time.monotonic() + _BEGIN_WITHIN
        while redis.hlen(key) > begin_at and time.monotonic() < ends:
            time.sleep(_LOOK_EVERY)
        left, cpu, began = redis.hlen(key), _cpu(processes), time.monotonic()
        while time.monotonic() < began + seconds and redis.hlen(key) > end_at:
            time.sleep(_LOOK_EVERY)
        done = max(left - redis.hlen(key), 1)
        return done / (time.monotonic() - began), 1e6 * (_cpu(processes) - cpu) / done
    finally:
        for process in processes:
            process.kill()
            process.wait()
        redis.flushdb()


def _cpu(processes: "Sequence[subprocess.Popen[bytes]]") -> float:
    return sum(cpu_seconds(process.pid) for process in processes)
