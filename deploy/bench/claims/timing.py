"""Timed claims."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from statistics import median
from typing import Final

from sqlalchemy import Engine

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
        return f"{self.median:.1f} / {self.p99:.1f}"


def timed_claim(
    engine: Engine,
    timings: Timings,
    lane: Lane = Lane.BACKGROUND,
    *,
    jobs: int = JOBS,
    memory: ClaimMemory | None = None,
) -> Claims:
    """Claim and commit; append what it took."""
    began = time.perf_counter()
    with engine.begin() as connection:
        claims = claim(
            connection,
            lane,
            jobs=jobs,
            platform_jobs=UNLIMITED,
            lease=LEASE,
            top_up=dict.fromkeys(Platform, timedelta()),
            memory=memory,
        )
    timings.milliseconds.append((time.perf_counter() - began) * 1_000)
    return claims


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table in Markdown under a heading."""
    lines = [f"## {title}", "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join([*lines, ""])
