"""The lower bound of the error: the best schedule of one post whose future rates are known.

It knows each post's true growth, its bursts and the rate of its readers in advance, though not the instants
of single reads. With `Knows.STEPS` it also knows when each single count comes, which nothing can foresee;
with `Knows.RATES` it knows how fast each post grows at each instant. ``f(j) = min over i of f(i) + price +
error of the readers between i and j`` is solved in linear time: the error is
``S(j) - S(i) - v(i) * (W(j) - W(i))`` with prefix sums S and W, so each i is a line in W(j), and lines with
decreasing slopes are queried from left to right (convex hull trick).
"""

from bisect import bisect_left
from collections.abc import Sequence
from enum import Enum
from itertools import pairwise
from typing import NamedTuple

from deploy.freshness.simulation.worlds import Post
from shared.freshness.rule import SMALL


class Knows(Enum):
    """What a bound knows of growth."""

    STEPS = "each step"
    RATES = "all rates"


class Grid(NamedTuple):
    """One post on the instants at which the bound may refresh."""

    ages: list[float]
    shown: list[float]
    weights: list[float]
    """Prefix sums of reads / (true + `SMALL`)."""
    errors: list[float]
    """The same of reads * true / (true + `SMALL`)."""


def grid(post: Post, points: int = 400, knows: Knows = Knows.STEPS) -> Grid:
    """Return a post on instants that are dense where the post or its readers change."""
    number = post.true if knows is Knows.STEPS else post.expected
    ages = {0.0, post.until}
    starts = {0.0, *(wave.start for wave in post.waves), *(part.start for part in post.readers)}
    for start in starts:
        first, count = 0.05, points // len(starts)
        factor = (post.until / first) ** (1 / count)
        for _ in range(count):
            if start + first < post.until:
                ages.add(start + first)
            first *= factor
        ages.add(start)
    instants = sorted(ages)
    weights, errors = [0.0], [0.0]
    for before, after in pairwise(instants):
        middle = (before + after) / 2
        true = number(middle)
        weight = post.read_rate(middle) * (after - before) / (true + SMALL)
        weights.append(weights[-1] + weight)
        errors.append(errors[-1] + weight * true)
    return Grid(instants, [number(age - post.delay) for age in instants], weights, errors)


def best_schedule(post: Grid, price: float) -> list[float]:
    """Return the ages at which to refresh after the first refresh at age 0, when a call costs ``price``."""
    lines: list[tuple[float, float, int]] = []
    cost = [0.0] * len(post.ages)
    previous = [0] * len(post.ages)
    first = 0
    for j, weight in enumerate(post.weights):
        if j:
            while first + 1 < len(lines) and _at(lines[first + 1], weight) <= _at(lines[first], weight):
                first += 1
            cost[j] = _at(lines[first], weight) + post.errors[j]
            previous[j] = lines[first][2]
        line = (-post.shown[j], cost[j] + (price if j else 0.0) - post.errors[j] + post.shown[j] * weight, j)
        _append(lines, line)
        first = min(first, len(lines) - 1)
    schedule = []
    j = previous[-1]
    while j:
        schedule.append(post.ages[j])
        j = previous[j]
    return schedule[::-1]


def _at(line: tuple[float, float, int], x: float) -> float:
    return line[0] * x + line[1]


def _append(lines: list[tuple[float, float, int]], line: tuple[float, float, int]) -> None:
    """Add a line with the smallest slope so far, and drop lines that are nowhere the lowest any more."""
    if lines and lines[-1][0] == line[0]:
        if lines[-1][1] <= line[1]:
            return
        lines.pop()
    while len(lines) >= 2 and _useless(lines[-2], lines[-1], line):
        lines.pop()
    lines.append(line)


def _useless(
    before: tuple[float, float, int], middle: tuple[float, float, int], after: tuple[float, float, int]
) -> bool:
    return (after[1] - before[1]) * (before[0] - middle[0]) <= (middle[1] - before[1]) * (
        before[0] - after[0]
    )


def errors_of(post: Post, schedule: Sequence[float]) -> list[float]:
    """Return the error of each read of a post under a schedule of refreshes."""
    refreshes = [0.0, *schedule]
    values = [post.shown(age) for age in refreshes]
    errors = []
    for read in post.reads:
        true = post.true(read)
        errors.append(abs(true - values[bisect_left(refreshes, read, 1) - 1]) / (true + SMALL))
    return errors
