"""``python -m tests.faults.soak``: an hour of ordinary work, and what grows meanwhile.

Memory and file descriptors of every process, dead tuples of the tables that are rewritten, keys of Redis,
connections. The report shows each as a curve with its slope after the warm-up.
"""

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from statistics import linear_regression, mean

import psutil  # type: ignore[import-untyped]  # psutil publishes no types
from rich.console import Console

from tests.faults.stage import FRESHNESS, Stage, stage
from tests.faults.waiting import lasts
from tests.servers import fast_parent, server_directory

SAMPLE_SECONDS = 5.0
WARM_UP_SHARE = 0.25
MOST_GROWTH_PERCENT = 2.0
"""Of memory, an hour, after the warm-up."""
_MEMORY = "MB of "
_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 60

Curves = Mapping[str, Sequence[tuple[float, float]]]
"""Points (seconds, value) by what was measured."""


def sample(on: Stage) -> dict[str, float]:
    """Measure everything once."""
    values: dict[str, float] = {}
    for name, member in on.fleet.members.items():
        process = psutil.Process(member.process.pid)
        values[f"{_MEMORY}{name}"] = process.memory_info().rss / 1e6
        values[f"file descriptors of {name}"] = process.num_fds()
    for table, dead in on.query(
        "SELECT relname, n_dead_tup FROM pg_stat_user_tables"
        " WHERE relname IN ('refresh_state', 'post_analytics', 'accounts')"
    ):
        values[f"dead tuples of {table}"] = dead
    for application, number in on.query(
        "SELECT application_name, count(*) FROM pg_stat_activity WHERE application_name LIKE %s GROUP BY 1",
        "dravo-%",
    ):
        values[f"connections of {application}"] = number
    with on.redis() as client:
        values["keys in Redis"] = client.dbsize()
        values["MB in Redis"] = client.info("memory")["used_memory"] / 1e6
    return values


def run(on: Stage, lasting: timedelta) -> Curves:
    """Sample until the time is up."""
    curves: dict[str, list[tuple[float, float]]] = defaultdict(list)
    began = time.monotonic()
    while (at := time.monotonic() - began) < lasting.total_seconds():
        for name, value in sample(on).items():
            curves[name].append((at, value))
        lasts(SAMPLE_SECONDS)
    return curves


def growth(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope after the warm-up, in percent of the mean an hour."""
    after = points[int(len(points) * WARM_UP_SHARE) :]
    level = mean(value for _, value in after)
    if len(after) < 2 or not level:
        return 0.0
    return 100 * 3600 * linear_regression(*zip(*after, strict=True)).slope / level


def curve(points: Sequence[tuple[float, float]]) -> str:
    """Draw the values from their least to their greatest."""
    step = max(1, len(points) // _WIDTH)
    values = [
        max(value for _, value in points[place : place + step]) for place in range(0, len(points), step)
    ]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return "".join(_BARS[int((value - low) / span * (len(_BARS) - 1))] for value in values)


def table(curves: Curves) -> list[str]:
    """Return the report's table, a line each."""
    lines = ["| measured | first | last | most | growth an hour | curve |", "|---|---:|---:|---:|---:|---|"]
    for name, points in sorted(curves.items()):
        values = [value for _, value in points]
        lines.append(
            f"| {name} | {values[0]:.1f} | {values[-1]:.1f} | {max(values):.1f}"
            f" | {growth(points):+.1f} % | `{curve(points)}` |"
        )
    return lines


def main() -> int:
    """Run, and return 1 when the memory of a process grew faster than it may."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--posts", type=int, default=40, help="of each of the twelve accounts")
    parser.add_argument("--report", type=Path, default=Path("build/faults/soak.md"))
    options = parser.parse_args()
    with server_directory(fast_parent()) as directory, stage(directory, seed=1, posts=options.posts) as on:
        # The triggers are the matrix's own load, not the product's.
        on.query("DROP SCHEMA faults CASCADE")
        curves = run(on, timedelta(minutes=options.minutes))
        reads = on.value("SELECT sum(reads) FROM snapshots")
        wrong = on.fleet.end()
    grew = {
        name: percent
        for name, points in curves.items()
        if name.startswith(_MEMORY) and (percent := growth(points)) > MOST_GROWTH_PERCENT
    }
    told = [
        "# Soak",
        "",
        (
            f"{options.minutes:g} minutes, {12 * options.posts} publications each read every"
            f" {FRESHNESS.total_seconds():g} s, {reads} readings."
        ),
        "",
        *table(curves),
        "",
        *(f"- {name} grew by {percent:.1f} % an hour" for name, percent in grew.items()),
        *(f"- {sentence}" for sentence in wrong),
        "",
    ]
    options.report.parent.mkdir(parents=True, exist_ok=True)
    options.report.write_text("\n".join(told), encoding="utf-8")
    Console().print("\n".join(told), highlight=False)
    return int(bool(grew or wrong))


if __name__ == "__main__":
    sys.exit(main())
