"""Runs policies over the posts of a world, at a given number of calls, and measures what readers see."""

from collections.abc import Callable, Sequence
from math import exp, log
from typing import Final, NamedTuple

from deploy.freshness.simulation import bound
from deploy.freshness.simulation.bound import Knows
from deploy.freshness.simulation.policies import Family
from deploy.freshness.simulation.worlds import HORIZON, Post
from shared.freshness.rule import NOTICEABLE, SMALL

FIXED_HOURS: Final = 6.0
"""The plain rule that all budgets are compared with."""
FIXED_CALLS: Final = HORIZON / FIXED_HOURS
"""Calls that it makes for a post."""
_STEPS: Final = 40
_SAME: Final = 1e-3  # logarithms of scales that are taken for equal
_FLAT: Final = 0.05  # a slope from which nothing can be concluded


class Result(NamedTuple):
    """What a policy costs and what its readers see."""

    calls: float
    """For each post, over the whole horizon."""
    error: float
    """Mean of ``|true - cached| / (true + 20)`` over all reads."""
    within: float
    """Part of the reads with an error of at most 5 %."""


def run(posts: Sequence[Post], family: Family, scale: float) -> Result:
    """Run a policy over all posts; each post's first refresh is at age 0."""
    calls = reads = within = 0
    errors = 0.0
    for post in posts:
        policy = family(post, scale)
        age, place = 0.0, 0
        while age < post.until:
            calls += 1
            value = post.shown(age)
            age += max(policy(age, value, place), 1e-3)
            while place < len(post.reads) and post.reads[place] < age:
                error = error_at(post, post.reads[place], value)
                errors += error
                within += error <= NOTICEABLE
                place += 1
        reads += len(post.reads)
    return Result(calls / len(posts), errors / reads, within / reads)


def error_at(post: Post, age: float, cached: float) -> float:
    """Return the error of a read at an age that is answered with ``cached``."""
    true = post.true(age)
    return abs(true - cached) / (true + SMALL)


def at_budget(posts: Sequence[Post], family: Family, calls: float, tolerance: float = 0.01) -> Result:
    """Run a policy at the scale at which it makes so many calls for each post."""
    return search(lambda scale: run(posts, family, scale), calls, tolerance)


def at_error(posts: Sequence[Post], family: Family, error: float) -> Result:
    """Run a policy at the scale at which its readers see this mean error."""
    low, high = 1e-3, 1e4
    for _ in range(14):
        middle = (low * high) ** 0.5
        result = run(posts, family, middle)
        low, high = (low, middle) if result.error > error else (middle, high)
    return result


def best(posts: Sequence[Post], calls: float, knows: Knows = Knows.STEPS) -> Result:
    """Return the clairvoyant bound for so many calls for each post."""
    return bests(posts, (calls,), knows)[0]


def bests(posts: Sequence[Post], budgets: Sequence[float], knows: Knows = Knows.STEPS) -> list[Result]:
    """Return the clairvoyant bound for each of these numbers of calls."""
    grids = [bound.grid(post, knows=knows) for post in posts]

    def priced(price: float) -> Result:
        schedules = [bound.best_schedule(one, price) for one in grids]
        errors = within = reads = 0.0
        for post, schedule in zip(posts, schedules, strict=True):
            read_errors = bound.errors_of(post, schedule)
            errors += sum(read_errors)
            within += sum(error <= NOTICEABLE for error in read_errors)
            reads += len(read_errors)
        return Result(1 + sum(map(len, schedules)) / len(posts), errors / reads, within / reads)

    return [search(priced, calls, 0.01) for calls in budgets]


def search(tried: Callable[[float], Result], calls: float, tolerance: float) -> Result:
    """Search the scale at which about so many calls are made; a larger scale makes fewer.

    The secant of the last two scales, in logarithms, while it lies within what is known; else the middle.
    """
    low, high = log(1e-5), log(1e4)
    scale = 0.0
    before: tuple[float, float] | None = None
    for _ in range(_STEPS):
        result = tried(exp(scale))
        excess = log(result.calls / calls)
        if abs(excess) <= tolerance or high - low < _SAME:
            break
        low, high = (scale, high) if excess > 0 else (low, scale)
        slope = (excess - before[1]) / (scale - before[0]) if before and scale != before[0] else -0.7
        before = scale, excess
        wanted = scale - excess / slope if slope < -_FLAT else low
        scale = wanted if low < wanted < high else (low + high) / 2
    return result
