"""Measures single claims: elapsed time, and CPU time of the client and of its server process."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Final

from sqlalchemy import Connection, Engine

from shared.refresh_state.claim import Claims, claim
from shared.refresh_state.ready.memory import ClaimMemory
from shared.vocabulary import Lane, Platform

JOBS: Final = 48
"""Jobs of one claim."""
UNLIMITED: Final = 1_000_000
LEASE: Final = timedelta(minutes=5)


@dataclass
class Timings:
    """Milliseconds of the same step, repeated."""

    milliseconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    """Milliseconds of CPU, of the client and of its server process together."""

    @property
    def median(self) -> float:
        """The median."""
        return median(self.milliseconds)

    @property
    def p99(self) -> float:
        """The 99th percentile."""
        ascending = sorted(self.milliseconds)
        return ascending[min(len(ascending) - 1, int(len(ascending) * 0.99))]

    def __str__(self) -> str:
        cpu = f"{median(self.cpu):.1f} " if self.cpu else ""
        return f"{cpu}({self.median:.1f} / {self.p99:.1f})"


@contextmanager
def timed(engine: Engine, timings: Timings) -> Iterator[Connection]:
    """Run a transaction; append what it took. The commit counts."""
    began, client = time.perf_counter(), time.process_time()
    with engine.begin() as connection:
        pid = connection.connection.dbapi_connection.info.backend_pid  # type: ignore[union-attr]
        server = _server_ms(pid)
        yield connection
    timings.milliseconds.append((time.perf_counter() - began) * 1_000)
    timings.cpu.append((time.process_time() - client) * 1_000 + _server_ms(pid) - server)


def _server_ms(pid: int) -> float:
    """Return how long a process has run on a CPU: https://docs.kernel.org/scheduler/sched-stats.html ."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e6


def timed_claim(
    engine: Engine,
    timings: Timings,
    lane: Lane = Lane.BACKGROUND,
    *,
    jobs: int = JOBS,
    memory: ClaimMemory | None = None,
) -> Claims:
    """Claim and commit; append what it took."""
    with timed(engine, timings) as connection:
        return claim(
            connection,
            lane,
            jobs=jobs,
            platform_jobs=UNLIMITED,
            lease=LEASE,
            top_up=dict.fromkeys(Platform, timedelta()),
            memory=memory,
        )


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table in Markdown under a heading."""
    lines = [f"## {title}", "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join([*lines, ""])
