"""The policies that are compared. Each has one scale: the larger it is, the fewer calls the policy makes.

The rule comes from production (`shared.freshness.rule`); nothing of it is repeated here.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from deploy.freshness.simulation.worlds import HORIZON, Post
from shared.freshness.priors import PRIORS
from shared.freshness.refit import Pair, Readers, Reads, refit, refit_readers
from shared.freshness.rule import Prior, State, next_interval
from shared.vocabulary import Platform

Policy = Callable[[float, float, int], float]
"""Called after each refresh of a post with its age, its number and its reads so far; returns hours."""
Family = Callable[[Post, float], Policy]
"""Makes the policy of one post for a scale."""

_SHORTEST: Final = 1 / 12
_LADDER: Final = ((24.0, 1.0), (168.0, 6.0), (720.0, 24.0), (float("inf"), 168.0))
"""Ages in hours up to which posts are commonly refreshed each 1 h, 6 h, 24 h and 7 days."""


def fixed(_post: Post, scale: float) -> Policy:
    """Refresh each post after the same time, ``scale`` hours."""
    return lambda _age, _value, _reads: scale


def ladder(_post: Post, scale: float) -> Policy:
    """Refresh after intervals that rise in steps with the age, as is common practice."""
    return lambda age, _value, _reads: scale * next(step for until, step in _LADDER if age < until)


def by_age(_post: Post, scale: float) -> Policy:
    """Refresh after a constant part of the age."""
    return lambda age, _value, _reads: max(scale * age, _SHORTEST)


def tolerance(_post: Post, scale: float) -> Policy:
    """Refresh when the number should have moved by ``scale`` percent, going by the last interval alone."""
    before: list[float] = []

    def policy(_age: float, value: float, _reads: int) -> float:
        hours = _SHORTEST
        if before:
            last_value, last_hours = before
            moved = abs(value - last_value) / (value + 20)
            hours = min(max(last_hours * min(max(scale / 100 / max(moved, 1e-9), 0.5), 4), _SHORTEST), 720.0)
        before[:] = [value, hours]
        return hours

    return policy


def adaptive(post: Post, pressure: float, priors: Mapping[Platform, Prior] = PRIORS) -> Policy:
    """Refresh by the rule of production; the scale is its pressure."""
    prior = priors[post.platform]
    state: State | None = None
    counted = 0

    def policy(age: float, value: float, reads: int) -> float:
        nonlocal state, counted
        interval = next_interval(age, value, reads - counted, state, prior, pressure)
        state, counted = interval.state, reads
        return interval.hours

    return policy


OURS: Final = "this policy"


def families(priors: Mapping[Platform, Prior] = PRIORS) -> Mapping[str, Family]:
    """Return all policies by name; ours knows these priors."""
    return {
        "fixed, stretched": fixed,
        "age ladder": ladder,
        "tolerance": tolerance,
        "const x age": by_age,
        OURS: partial(adaptive, priors=priors),
    }


def refitted(posts: Sequence[Post], priors: Mapping[Platform, Prior]) -> dict[Platform, Prior]:
    """Return the priors with half-lives and readers fitted to the policy's own refreshes of these posts.

    The posts are of all ages, as those of an installation on any one day.
    """
    pairs: dict[Platform, list[Pair]] = {}
    counted: dict[Platform, list[Reads]] = {}
    for number, post in enumerate(posts):
        policy = adaptive(post, 1.0, priors)
        age, value, until = 0.0, post.shown(0.0), HORIZON * (number + 0.5) / len(posts)
        counted.setdefault(post.platform, []).append(Reads(0.0, until, post.reads_before(until)))
        while (after := age + policy(age, value, post.reads_before(age))) < until:
            pairs.setdefault(post.platform, []).append(Pair(age, value, after, post.shown(after)))
            age, value = after, pairs[post.platform][-1].value
    fitted = {}
    for platform, prior in priors.items():
        readers = refit_readers(counted.get(platform, ()), Readers.of(prior))
        fitted[platform] = prior._replace(
            half_life=refit(pairs.get(platform, ()), prior.half_life),
            reads_at_first=readers.at_first,
            reads_at_any_age=readers.at_any_age,
        )
    return fitted
