"""Half-lives fitted to an installation's own refreshes, instead of the published ones.

Between two refreshes a typical post grows by a part of its size that depends on both ages and on the
half-life alone. The fit is the half-life at which the sum of these parts equals the sum of the observed
ones.
"""

from collections.abc import Iterable, Sequence
from math import exp, log
from typing import Final, NamedTuple

from shared.freshness.rule import SMALL

ENOUGH: Final = 200.0
"""Weight, in pairs of refreshes, from which a fit counts for more than what was believed before."""
_SHORTEST: Final = 1 / 60
_LONGEST: Final = 10_000.0
_STEPS: Final = 30


class Pair(NamedTuple):
    """Two successive refreshes of one post."""

    age_before: float
    value_before: float
    age: float
    value: float


def refit(pairs: Iterable[Pair], believed: float, enough: float = ENOUGH) -> float:
    """Return the half-life in hours that explains these pairs; few pairs stay near the ``believed`` one.

    A value that fell counts as no growth. Without any usable pair the ``believed`` half-life is returned.
    """
    usable = [pair for pair in pairs if pair.age > pair.age_before > 0 and pair.value_before > 0]
    if not usable:
        return believed
    trust = len(usable) / (len(usable) + enough)
    return exp(trust * log(_explaining(usable)) + (1 - trust) * log(believed))


def _explaining(pairs: Sequence[Pair]) -> float:
    """Return the half-life under which these pairs would have grown as much as they did."""
    observed = sum(
        max(0.0, pair.value - pair.value_before) / (pair.value + pair.value_before + SMALL) for pair in pairs
    )
    low, high = log(_SHORTEST), log(_LONGEST)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if _expected(pairs, exp(middle)) < observed else (low, middle)
    return exp(low)


def _expected(pairs: Sequence[Pair], half_life: float) -> float:
    """Return the growth that typical posts would have shown; it rises with the half-life."""
    total = 0.0
    for pair in pairs:
        before = pair.age_before / (pair.age_before + half_life)
        after = pair.age / (pair.age + half_life)
        size = pair.value + pair.value_before
        total += (after - before) / (after + before) * size / (size + SMALL)
    return total
