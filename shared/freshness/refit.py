"""Half-lives and readers fitted to an installation's own numbers, instead of the published ones.

Between two refreshes a typical post grows by a part of its size that depends on both ages and on the
half-life alone. The fit is the half-life at which the sum of these parts equals the sum of the observed
ones. Reads are fitted in the same way, by two sums: those of young posts and those of older ones.
"""

from collections.abc import Iterable, Sequence
from math import exp, log
from typing import Final, NamedTuple

from shared.freshness.rule import SMALL, Prior, decreasing_hours

ENOUGH: Final = 200.0
"""Weight, in pairs of refreshes, from which a fit counts for more than what was believed before."""
ENOUGH_POSTS: Final = 30.0
"""Posts from which fitted readers count for more than what was believed before: each has many reads."""
YOUNG: Final = 48.0
"""Hours: most reads of younger posts are those of new posts, most of older ones come at any age alike."""
_SHORTEST: Final = 1 / 60
_LONGEST: Final = 10_000.0
_STEPS: Final = 30
_FEWEST: Final = 1e-4  # reads an hour: an installation may learn later that there are more


class Pair(NamedTuple):
    """Two successive refreshes of one post."""

    age_before: float
    value_before: float
    age: float
    value: float


class Reads(NamedTuple):
    """The reads of one post between two ages."""

    age_before: float
    age: float
    reads: float


class Readers(NamedTuple):
    """How often a typical row is read (`Prior.reads_at_first`, `Prior.reads_at_any_age`)."""

    at_first: float
    at_any_age: float

    @classmethod
    def of(cls, prior: Prior) -> "Readers":
        """Return the readers of a prior."""
        return cls(prior.reads_at_first, prior.reads_at_any_age)


class Fitted(NamedTuple):
    """What was fitted to the posts of an account or a platform; ``None``: an older version fitted it."""

    half_life: float
    reads_at_first: float | None
    reads_at_any_age: float | None

    def applied_to(self, prior: Prior) -> Prior:
        """Return a prior with these values in place of its own."""
        return prior._replace(**{name: value for name, value in self._asdict().items() if value is not None})


def refit_readers(counted: Iterable[Reads], believed: Readers, enough: float = ENOUGH_POSTS) -> Readers:
    """Return the two rates that explain these reads; few of them stay near the ``believed`` rates.

    Both sums are met where that is possible without a negative rate. Without posts of both kinds the rates
    that are ``believed`` are returned.
    """
    sums = {True: [0.0, 0.0, 0.0], False: [0.0, 0.0, 0.0]}
    posts = 0
    for one in counted:
        if one.age > one.age_before >= 0:
            posts += 1
            of_kind = sums[one.age < YOUNG]
            of_kind[0] += decreasing_hours(one.age) - decreasing_hours(one.age_before)
            of_kind[1] += one.age - one.age_before
            of_kind[2] += one.reads
    (young, young_hours, young_reads), (old, old_hours, old_reads) = sums[True], sums[False]
    if not young or not old or not young_reads + old_reads:
        return believed
    determinant = young * old_hours - young_hours * old
    at_first = (young_reads * old_hours - young_hours * old_reads) / determinant if determinant > 0 else -1.0
    at_any_age = (old_reads - at_first * old) / old_hours
    if at_first <= 0:
        at_first, at_any_age = _FEWEST, (young_reads + old_reads) / (young_hours + old_hours)
    elif at_any_age <= 0:
        at_first, at_any_age = (young_reads + old_reads) / (young + old), _FEWEST
    trust = posts / (posts + enough)
    return Readers(
        exp(trust * log(max(at_first, _FEWEST)) + (1 - trust) * log(believed.at_first)),
        exp(trust * log(max(at_any_age, _FEWEST)) + (1 - trust) * log(believed.at_any_age)),
    )


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
