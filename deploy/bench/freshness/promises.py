"""Audit of the promise: the share of reads within 5 % that rows claim, against the share that is true.

Posts are published over two months and refreshed in the order of time; what a refresh reveals calibrates the
claims of later reads, as in production. The reads of the second month are audited. True is the number that
the platform would report at the read: nothing else can be known where it lags behind.
"""

import heapq
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from deploy.freshness.simulation.policies import refitted
from deploy.freshness.simulation.runs import FIXED_CALLS
from deploy.freshness.simulation.worlds import HORIZON, Post, Spec, make
from shared.freshness.priors import PRIORS
from shared.freshness.promise import Observed, judge, share_within
from shared.freshness.rule import NOTICEABLE, SMALL, Prior, State, expected_error, next_interval
from shared.vocabulary import Platform

ABOUT: Final = """The share of reads within 5 % that rows claim and the share that is true, in the second
of two months: what refreshes reveal calibrates the claims of later reads, as in production. True is what the
platform would report."""
PRESSURES: Final = (0.2, 1.0, 3.0)
_POSTS: Final = 600
_PAST: Final = 1_000
_SEED: Final = 7


def audit(spec: Spec) -> str:
    """Return claimed and true shares of one world at each pressure."""
    posts = [replace(post, published=2 * post.published) for post in make(spec, _POSTS, _SEED)]
    priors = refitted(make(spec, _PAST, _SEED + 1), PRIORS)
    shares = []
    for pressure in PRESSURES:
        claimed, true, calls = _audit(posts, priors, pressure)
        shares.append(
            f"{claimed:.1%} claimed, {true:.1%} true at {calls / FIXED_CALLS:.0%} of the calls"
            f" ({100 * (claimed - true):+.1f} points)"
        )
    return f"{spec.name}: {'; '.join(shares)}"


def _audit(
    posts: Sequence[Post], priors: Mapping[Platform, Prior], pressure: float
) -> tuple[float, float, float]:
    """Return the claimed share, the true one, and the calls of a post."""
    observed: dict[Platform, dict[int, Observed]] = defaultdict(dict)
    states: list[State | None] = [None] * len(posts)
    read, counted = [0] * len(posts), [0] * len(posts)
    claimed = within = reads = calls = 0.0
    due = [(post.published, number) for number, post in enumerate(posts)]
    heapq.heapify(due)
    while due:
        at, number = heapq.heappop(due)
        post, state = posts[number], states[number]
        age, prior, of_platform = at - post.published, priors[post.platform], observed[post.platform]
        if age >= post.until:
            continue
        value, new_reads = post.shown(age), read[number] - counted[number]
        if state is not None:
            for class_, judged, right in judge(state, prior, age, value, new_reads):
                before = of_platform.get(class_, Observed(0, 0))
                of_platform[class_] = Observed(before.reads + judged, before.within + right)
        interval = next_interval(age, value, new_reads, state, prior, pressure)
        states[number], counted[number], calls = interval.state, read[number], calls + 1
        while read[number] < len(post.reads) and post.reads[read[number]] < age + interval.hours:
            read_age = post.reads[read[number]]
            read[number] += 1
            if post.published + read_age >= HORIZON:
                expected = expected_error(interval.state, prior, read_age - age)
                claimed += share_within(expected, read_age, of_platform)
                true = post.shown(read_age)
                within += abs(true - value) / (true + SMALL) <= NOTICEABLE
                reads += 1
        heapq.heappush(due, (at + interval.hours, number))
    return claimed / reads, within / reads, calls / len(posts)
