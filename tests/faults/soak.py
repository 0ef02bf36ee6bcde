"""``python -m tests.faults.soak``: an hour at half the fleet's capacity, and what grows meanwhile.

Memory and file descriptors of every process, dead tuples of the tables that are rewritten, keys of Redis,
connections. The report shows each as a curve with its slope after the warm-up.
"""

import argparse
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from statistics import linear_regression, mean

import psutil  # type: ignore[import-untyped]  # psutil publishes no types
from rich.console import Console

from tests.faults.harness.environment import Stage, stage
from tests.faults.harness.waiting import lasts
from tests.servers import fast_parent, server_directory

SAMPLE_SECONDS = 5.0
WARM_UP_SHARE = 0.25
MOST_GROWTH_PERCENT = 2.0
"""Of memory, an hour, after the warm-up."""
MOST_CREEP = 1.25
"""Of everything else: how far the last quarter's peak may be above that of the two quarters before."""
_SLACK = 5.0
"""What that does not count: a few connections, keys or descriptors are no trend."""
LOAD = 0.5
"""Of the capacity that was measured first."""
CAPACITY_SECONDS = 30.0
_OVERLOAD = {"DRAVO_FRESHNESS": "fixed:1s"}
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


def capacity(on: Stage) -> float:
    """Return how many publications a second the fleet reads when everything is always due."""
    began, before = time.monotonic(), _reads(on)
    lasts(CAPACITY_SECONDS)
    return (_reads(on) - before) / (time.monotonic() - began)


def _reads(on: Stage) -> int:
    return int(on.value("SELECT sum(reads) FROM snapshots"))


def ease(on: Stage, seconds: int) -> None:
    """Start scheduler and workers again with another freshness."""
    for member in [*on.fleet.of("scheduler"), *on.fleet.of("worker")]:
        assert on.fleet.end(member) == []
        on.fleet.start(member.module, name=member.name, DRAVO_FRESHNESS=f"fixed:{seconds}s")


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


def crept(points: Sequence[tuple[float, float]]) -> bool:
    """Whether the last quarter reached higher than the two quarters before it, by more than chance."""
    quarter = len(points) // 4
    before = max((value for _, value in points[quarter : 3 * quarter]), default=0.0)
    after = max((value for _, value in points[3 * quarter :]), default=0.0)
    return after > MOST_CREEP * before + _SLACK


def judge(curves: Curves) -> list[str]:
    """Return what grew, a sentence each."""
    wrong = []
    for name, points in sorted(curves.items()):
        if name.startswith(_MEMORY):
            percent = growth(points)
            if percent > MOST_GROWTH_PERCENT:
                wrong.append(f"{name} grew by {percent:.1f} % an hour")
        elif crept(points):
            wrong.append(f"{name} kept growing")
    return wrong


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
    """Run, and return 1 when something grew that may not."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--posts", type=int, default=600, help="of each of the twelve accounts")
    parser.add_argument("--report", type=Path, default=Path("build/faults/soak.md"))
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # servers are to end with us
    with (
        server_directory(fast_parent()) as directory,
        stage(directory, seed=1, posts=options.posts, environment=_OVERLOAD) as on,
    ):
        # The triggers are the matrix's own load, not the product's.
        on.query("DROP SCHEMA faults CASCADE")
        number, most = 12 * options.posts, capacity(on)
        every = round(number / (LOAD * most))
        Console().print(f"{most:.0f} readings a second at most; now {number} publications every {every} s")
        ease(on, every)
        before, began = _reads(on), time.monotonic()
        curves = run(on, timedelta(minutes=options.minutes))
        pace = (_reads(on) - before) / (time.monotonic() - began)
        wrong = judge(curves) + on.fleet.end()
    told = [
        "# Soak",
        "",
        (
            f"{options.minutes:g} minutes, {number} publications each read every {every} s:"
            f" {pace:.1f} readings a second, {100 * pace / most:.0f} % of the {most:.0f} that the fleet can"
            " do on this machine."
        ),
        "",
        *table(curves),
        "",
        *(f"- {sentence}" for sentence in wrong),
        "",
    ]
    options.report.parent.mkdir(parents=True, exist_ok=True)
    options.report.write_text("\n".join(told), encoding="utf-8")
    Console().print("\n".join(told), highlight=False, soft_wrap=True)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
