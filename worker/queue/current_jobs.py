"""The jobs that a worker process runs at this moment, as it reports them to operators."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from shared.refresh_queue import RefreshJob


class CurrentJobs:
    """The jobs under way in this process. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[int, tuple[RefreshJob, float]] = {}
        self._started_at = datetime.now(UTC)

    @contextmanager
    def running(self, job: RefreshJob) -> Iterator[None]:
        """Count a job as under way in this thread during the context."""
        thread = threading.get_ident()
        with self._lock:
            self._jobs[thread] = job, time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._jobs.pop(thread, None)

    def report(self, threads: int) -> dict[str, Any]:
        """Return what operators see: process, version, start and jobs, the longest-running first."""
        now = time.monotonic()
        with self._lock:
            jobs = sorted(self._jobs.values(), key=lambda one: one[1])
        return {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "version": version("dravo-analytics-sync"),
            "started_at": self._started_at.isoformat(),
            "threads": threads,
            "jobs": [
                {
                    "account_id": job.account_id,
                    "publications": len(job.claims),
                    "seconds": round(now - began, 1),
                }
                for job, began in jobs
            ],
        }
