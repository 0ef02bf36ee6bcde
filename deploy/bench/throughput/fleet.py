"""The measured processes: a scheduler, workers and the prepared platforms, with the CPU time of each."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
import psutil

from deploy.local.servers.server_process import free_port
from shared.redis_client import connect
from shared.refresh_queue import workers_alive

_LIMITS: Final = "tiktok:endpoint:video/query=10000000/1m,x:account:tweets=1000000/1m"
"""Budgets that are counted and never reached."""
_HOSTS: Final = ("META_GRAPH", "INSTAGRAM_GRAPH", "X_API", "LINKEDIN_API", "LINKEDIN_OAUTH", "TIKTOK_API")


@dataclass
class Fleet:
    """Running services, by name."""

    environment: Mapping[str, str]
    code: Path
    """The checkout whose services run."""
    postmaster: int
    redis: int
    processes: dict[str, list[subprocess.Popen[bytes]]] = field(default_factory=dict)
    platforms: str = ""

    def start(self, name: str, module: str, *arguments: str, **more: str) -> None:
        """Start ``python -m module`` in the checkout."""
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env={**os.environ, **self.environment, **more},
            cwd=self.code,
            stderr=subprocess.DEVNULL if not os.environ.get("BENCH_LOG") else None,
        )
        self.processes.setdefault(name, []).append(process)

    def stop(self, name: str) -> None:
        """Stop the processes of this name and wait for them."""
        running = self.processes.pop(name, [])
        for process in running:
            process.send_signal(signal.SIGTERM)
        for process in running:
            process.wait(timeout=20)

    def cpu(self) -> dict[str, float]:
        """Return the CPU seconds so far: of each name, of PostgreSQL and of Redis."""
        seconds = {
            name: sum(cpu_seconds(process.pid) for process in running)
            for name, running in self.processes.items()
        }
        return {**seconds, "postgresql": _with_children(self.postmaster), "redis": cpu_seconds(self.redis)}

    def memory(self) -> dict[str, float]:
        """Return the resident megabytes of the largest process of each name."""
        return {
            name: max(psutil.Process(process.pid).memory_info().rss for process in running) / 1e6
            for name, running in self.processes.items()
        }

    def kill(self, *names: str) -> None:
        """End the processes of these names at once."""
        running = [process for name in names for process in self.processes.pop(name, [])]
        for process in running:
            process.kill()
        for process in running:
            process.wait()

    def served(self) -> Mapping[str, int]:
        """Return the requests and ids that the platforms have answered."""
        stats: Mapping[str, int] = httpx.get(f"{self.platforms}/stats").json()
        return stats

    def wait_until_alive(self, workers: int) -> None:
        """Wait until so many workers have started, which takes long on a busy machine.

        Raises `RuntimeError` when it takes longer than three minutes.
        """
        ends = time.monotonic() + 180
        with connect(self.environment["DRAVO_REDIS_URL"]) as redis:
            while len(workers_alive(redis)) < workers:
                if time.monotonic() > ends:
                    raise RuntimeError(f"{workers} workers did not start within three minutes")
                time.sleep(0.05)

    def wait_until_called(self) -> None:
        """Wait until a platform has been called. Raises `RuntimeError` when that takes longer than a minute.

        The workers have started before: their start does not count.
        """
        first = self.served()["requests"]
        ends = time.monotonic() + 60
        while self.served()["requests"] == first:
            if time.monotonic() > ends:
                raise RuntimeError("no platform was called within a minute")
            time.sleep(0.05)


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds that a process has used."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _with_children(pid: int) -> float:
    """Return the CPU seconds of a process and of its children, ended ones included."""
    process = psutil.Process(pid)
    times = process.cpu_times()
    total = float(times.user + times.system + times.children_user + times.children_system)
    for child in process.children():
        try:
            total += cpu_seconds(child.pid)
        except psutil.NoSuchProcess:
            continue
    return total


@contextmanager
def fleet(
    settings: Mapping[str, str], code: Path, servers: tuple[int, int], *, milliseconds: float = 0
) -> Iterator[Fleet]:
    """Run the prepared platforms; the caller starts services, and all end with the block.

    ``servers``: the process ids of PostgreSQL and of Redis.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        **settings,
        **{f"DRAVO_{host}_URL": url for host in _HOSTS},
        "DRAVO_LIMITS": _LIMITS,
        "DRAVO_FRESHNESS": "fixed:6h",
        "DRAVO_LOG_FORMAT": "json",
    }
    running = Fleet(environment, code, *servers, platforms=url)
    program = [sys.executable, "-m", "deploy.bench.throughput.platforms", "--port", str(port)]
    process = subprocess.Popen([*program, "--milliseconds", str(milliseconds)], cwd=Path(__file__).parents[3])
    running.processes["platforms"] = [process]
    try:
        _until_answers(f"{url}/stats")
        yield running
    finally:
        for name in list(running.processes):
            running.stop(name)


def _until_answers(url: str) -> None:
    ends = time.monotonic() + 20
    while time.monotonic() < ends:
        try:
            httpx.get(url)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"{url} does not answer")
