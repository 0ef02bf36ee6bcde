"""``python -m tests.faults.soak``: the fleet at half of its capacity for an hour, to find what keeps growing.

It samples the memory and file descriptors of every process, the dead tuples of the tables that are rewritten
often, the keys in Redis, and connections. The report shows each as a curve with its growth after the warm-up.
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

import psutil
from rich.console import Console

from tests.faults.harness.environment import Environment, open_environment
from tests.faults.harness.waiting import sleep_for
from tests.servers import fast_parent, server_directory

SAMPLE_SECONDS = 5.0
WARM_UP_SHARE = 0.25
MOST_GROWTH_PERCENT = 2.0
"""The most that memory may grow in an hour, after the warm-up."""
MOST_CREEP = 1.25
"""For everything else: the ratio between the peak of the last quarter and that of the two quarters before."""
_SLACK = 5.0
"""Growth that is ignored: a few connections, keys or descriptors are no trend."""
LOAD = 0.5
"""The share of the capacity, which is measured first."""
CAPACITY_SECONDS = 30.0
_OVERLOAD = {"DRAVO_FRESHNESS": "fixed:1s"}
_MEMORY = "MB of "
_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 60

Curves = Mapping[str, Sequence[tuple[float, float]]]
"""Points (seconds, value) by the name of the measured value."""


def sample(environment: Environment) -> dict[str, float]:
    """Measure every value once."""
    values: dict[str, float] = {}
    for name, member in environment.fleet.members.items():
        process = psutil.Process(member.process.pid)
        values[f"{_MEMORY}{name}"] = process.memory_info().rss / 1e6
        values[f"file descriptors of {name}"] = process.num_fds()
    for table, dead in environment.query(
        "SELECT relname, n_dead_tup FROM pg_stat_user_tables"
        " WHERE relname IN ('refresh_state', 'post_analytics', 'accounts')"
    ):
        values[f"dead tuples of {table}"] = dead
    for application, number in environment.query(
        "SELECT application_name, count(*) FROM pg_stat_activity WHERE application_name LIKE %s GROUP BY 1",
        "dravo-%",
    ):
        values[f"connections of {application}"] = number
    with environment.redis() as client:
        values["keys in Redis"] = client.dbsize()
        values["MB in Redis"] = client.info("memory")["used_memory"] / 1e6
    return values


def capacity(environment: Environment) -> float:
    """Return how many publications the fleet refreshes in a second when all are always due."""
    began, before = time.monotonic(), _reads(environment)
    sleep_for(CAPACITY_SECONDS)
    return (_reads(environment) - before) / (time.monotonic() - began)


def _reads(environment: Environment) -> int:
    return int(environment.value("SELECT sum(reads) FROM snapshots"))


def restart_with_freshness(environment: Environment, seconds: int) -> None:
    """Restart scheduler and workers with another freshness."""
    for member in [*environment.fleet.of("scheduler"), *environment.fleet.of("worker")]:
        assert environment.fleet.stop(member) == []
        environment.fleet.start(member.module, name=member.name, DRAVO_FRESHNESS=f"fixed:{seconds}s")


def run(environment: Environment, lasting: timedelta) -> Curves:
    """Sample until the time is up and return the curves."""
    curves: dict[str, list[tuple[float, float]]] = defaultdict(list)
    began = time.monotonic()
    while (at := time.monotonic() - began) < lasting.total_seconds():
        for name, value in sample(environment).items():
            curves[name].append((at, value))
        sleep_for(SAMPLE_SECONDS)
    return curves


def growth(points: Sequence[tuple[float, float]]) -> float:
    """Return the growth after the warm-up in percent of the mean for each hour."""
    after = points[int(len(points) * WARM_UP_SHARE) :]
    level = mean(value for _, value in after)
    if len(after) < 2 or not level:
        return 0.0
    return 100 * 3600 * linear_regression(*zip(*after, strict=True)).slope / level


def keeps_growing(points: Sequence[tuple[float, float]]) -> bool:
    """Return whether the last quarter's peak exceeds that of the two quarters before by more than chance."""
    quarter = len(points) // 4
    before = max((value for _, value in points[quarter : 3 * quarter]), default=0.0)
    after = max((value for _, value in points[3 * quarter :]), default=0.0)
    return after > MOST_CREEP * before + _SLACK


def judge(curves: Curves) -> list[str]:
    """Return a sentence for every value that kept growing."""
    problems = []
    for name, points in sorted(curves.items()):
        if name.startswith(_MEMORY):
            percent = growth(points)
            if percent > MOST_GROWTH_PERCENT:
                problems.append(f"{name} grew by {percent:.1f} % an hour")
        elif keeps_growing(points):
            problems.append(f"{name} kept growing")
    return problems


def curve(points: Sequence[tuple[float, float]]) -> str:
    """Draw the values as a line of bars."""
    change = max(1, len(points) // _WIDTH)
    values = [
        max(value for _, value in points[place : place + change]) for place in range(0, len(points), change)
    ]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return "".join(_BARS[int((value - low) / span * (len(_BARS) - 1))] for value in values)


def table(curves: Curves) -> list[str]:
    """Return the lines of the report's table."""
    lines = ["| measured | first | last | most | growth an hour | curve |", "|---|---:|---:|---:|---:|---|"]
    for name, points in sorted(curves.items()):
        values = [value for _, value in points]
        lines.append(
            f"| {name} | {values[0]:.1f} | {values[-1]:.1f} | {max(values):.1f}"
            f" | {growth(points):+.1f} % | `{curve(points)}` |"
        )
    return lines


def main() -> int:
    """Run, and return 1 when a value kept growing."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--posts", type=int, default=600, help="posts of each of the twelve accounts")
    parser.add_argument("--report", type=Path, default=Path("build/faults/soak.md"))
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the servers stop too
    with (
        server_directory(fast_parent()) as directory,
        open_environment(directory, seed=1, posts=options.posts, settings=_OVERLOAD) as environment,
    ):
        # The triggers of the event log would add load.
        environment.query("DROP SCHEMA faults CASCADE")
        number, capacity_a_second = 12 * options.posts, capacity(environment)
        every = round(number / (LOAD * capacity_a_second))
        Console().print(
            f"{capacity_a_second:.0f} readings a second at most; now {number} publications every {every} s"
        )
        restart_with_freshness(environment, every)
        before, began = _reads(environment), time.monotonic()
        curves = run(environment, timedelta(minutes=options.minutes))
        pace = (_reads(environment) - before) / (time.monotonic() - began)
        problems = judge(curves) + environment.fleet.stop()
    lines = [
        "# Soak",
        "",
        (
            f"{options.minutes:g} minutes, {number} publications each refreshed every {every} s:"
            f" {pace:.1f} readings a second, {100 * pace / capacity_a_second:.0f} % of the"
            f" {capacity_a_second:.0f} that the fleet reaches on this machine."
        ),
        "",
        *table(curves),
        "",
        *(f"- {sentence}" for sentence in problems),
        "",
    ]
    options.report.parent.mkdir(parents=True, exist_ok=True)
    options.report.write_text("\n".join(lines), encoding="utf-8")
    Console().print("\n".join(lines), highlight=False, soft_wrap=True)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
