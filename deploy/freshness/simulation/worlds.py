"""Synthetic worlds: posts whose true numbers and readers are known at each instant.

A post's number is a sum of waves: each begins at some age, brings a part of the post's total, and slows down
with a half-life of its own. Its readers are a Poisson process whose rate decreases with age, starts anew with
each wave, or stays flat. Seeds are fixed, so that each run has the same worlds.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log
from random import Random
from typing import Final

from shared.freshness.priors import PRIORS
from shared.vocabulary import Platform

HORIZON: Final = 720.0
"""Hours for which each post is observed: 30 days."""
_DECAY: Final = 1.2
_SLOWS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Wave:
    """A part of a post's growth."""

    start: float
    total: float
    half_life: float


@dataclass(frozen=True, slots=True)
class Readers:
    """A part of a post's reads: ``rate`` an hour at first, decreasing or flat."""

    start: float
    rate: float
    flat: bool = False


@dataclass(frozen=True, slots=True)
class Post:
    """One post with everything that is true about it; a policy sees what `Post.shown` returns."""

    platform: Platform
    account: int
    published: float
    """Hours after the start of the world."""
    waves: tuple[Wave, ...]
    readers: tuple[Readers, ...]
    reads: tuple[float, ...]
    """Ages in hours at which clients read the post."""
    delay: float = 0.0
    """Hours by which the platform's numbers lag behind."""
    until: float = HORIZON
    """Age in hours up to which it is observed."""
    signals: tuple[float, ...] = ()
    """Ages at which somebody reports activity of the post, rightly or not."""

    def true(self, age: float) -> float:
        """Return the true number at an age: whole counts."""
        return float(int(self.expected(age)))

    def expected(self, age: float) -> float:
        """Return the number without its single steps: what somebody expects who knows all rates of growth."""
        number = 0.0
        for wave in self.waves:
            since = age - wave.start
            if since > 0:
                number += wave.total * since / (since + wave.half_life)
        return number

    def shown(self, age: float) -> float:
        """Return the number that the platform reports at an age."""
        return self.true(age - self.delay)

    def read_rate(self, age: float) -> float:
        """Return the expected reads an hour at an age."""
        return sum(
            part.rate if part.flat else part.rate * (1 + (age - part.start) / _SLOWS) ** -_DECAY
            for part in self.readers
            if age >= part.start
        )

    def reads_before(self, age: float) -> int:
        """Return how many reads there were up to an age."""
        return bisect_right(self.reads, age)


@dataclass(frozen=True, slots=True)
class Spec:
    """What makes a world: spreads are standard deviations of a logarithm, shares are parts of the posts."""

    name: str
    about: str
    spread: float = 0.5
    """Of the posts' half-lives around their platform's."""
    size: float = 400.0
    size_spread: float = 1.5
    account_spread: float = 0.7
    resurgences: float = 0.1
    flat_reads: float = 0.0
    reads_spread: float = 0.7
    reads_follow: bool = True
    """Readers come back with a resurgence."""
    delay: float = 0.0
    slower: float = 1.0
    """Factor of all true half-lives: the prior is wrong by as much."""
    precision: float | None = None
    """Part of the signals that stand for a true resurgence; `None`: no signals."""


TUNED: Final = (
    Spec("as measured", "half-lives, sizes and readers differ; one post in ten grows again later"),
    Spec("no resurgences", "growth only slows down", resurgences=0.0),
)
"""Worlds on which the rule's constants were chosen, with another seed."""

REPORTED: Final = (
    Spec("uneven accounts", "few accounts have nearly all posts", account_spread=1.5, size_spread=2.0),
    Spec("alike posts", "all posts of a platform have nearly the same shape", 0.05, reads_spread=0.05),
    Spec("wide", "half-lives differ by a factor of 20 within a platform", spread=1.0),
    Spec("bursts", "every second post grows again, and its readers come back", resurgences=0.5),
    Spec("silent bursts", "the same, but readers do not come back", resurgences=0.5, reads_follow=False),
    Spec("flat reading", "four reads in five come at any age alike", flat_reads=0.8),
    Spec("small posts", "most posts stay below a hundred", size=40.0),
    Spec("delay", "platforms lag by up to 48 hours", delay=48.0),
    Spec("wrong prior", "everything is five times slower than published", slower=5.0),
)
"""Worlds that played no part in the choice."""


def make(spec: Spec, posts: int, seed: int) -> list[Post]:
    """Return the posts of a world, in the order of their publication."""
    random = Random(f"{spec.name}/{seed}")
    accounts = [
        (random.choice(list(PRIORS)), random.gauss(0, spec.account_spread), random.paretovariate(1.2))
        for _ in range(max(posts // 50, 5))
    ]
    weights = [weight for _, _, weight in accounts]
    numbers = random.choices(range(len(accounts)), weights, k=posts)
    return sorted(
        (_post(spec, number, accounts[number][:2], random) for number in numbers),
        key=lambda post: post.published,
    )


def _post(spec: Spec, account: int, about: tuple[Platform, float], random: Random) -> Post:
    platform, account_size = about
    half_life = PRIORS[platform].half_life * spec.slower * exp(random.gauss(0, spec.spread))
    total = spec.size * exp(account_size + random.gauss(0, spec.size_spread))
    popularity = exp(random.gauss(-(spec.reads_spread**2) / 2, spec.reads_spread))
    waves = [Wave(0.0, total, half_life)]
    readers = [Readers(0.0, 4.0 * popularity * (1 - spec.flat_reads))]
    if spec.flat_reads:
        readers.append(Readers(0.0, 28 / HORIZON * popularity * spec.flat_reads, flat=True))
    bursts = []
    if random.random() < spec.resurgences:
        start = exp(random.uniform(log(2), log(HORIZON)))
        bursts.append(start)
        waves.append(
            Wave(start, total * exp(random.gauss(-0.7, 1)), half_life * exp(random.gauss(-0.5, 0.5)))
        )
        if spec.reads_follow:
            readers.append(Readers(start, 2.0 * popularity))
    reads = sorted(at for part in readers for at in arrivals(part, random))
    return Post(
        platform,
        account,
        random.uniform(0, HORIZON),
        tuple(waves),
        tuple(readers),
        tuple(reads),
        spec.delay * random.random(),
        HORIZON,
        _signals(spec, bursts, random),
    )


def arrivals(part: Readers, random: Random) -> list[float]:
    """Return the instants of a Poisson process with the rate of ``part``, up to the horizon."""
    arrivals: list[float] = []
    if part.rate <= 0:
        return arrivals
    mass = 0.0
    most = part.rate * _SLOWS / (_DECAY - 1)
    while True:
        mass += random.expovariate(1.0)
        if part.flat:
            age = mass / part.rate
        elif mass >= most:
            return arrivals
        else:
            age = _SLOWS * ((1 - mass / most) ** (1 / (1 - _DECAY)) - 1)
        if part.start + age >= HORIZON:
            return arrivals
        arrivals.append(part.start + age)


def _signals(spec: Spec, bursts: Sequence[float], random: Random) -> tuple[float, ...]:
    if spec.precision is None:
        return ()
    right = [start + random.uniform(0.1, 0.5) for start in bursts] if spec.precision else []
    false_rate = (1 - spec.precision) / spec.precision if spec.precision else 1.0
    false = [
        random.uniform(0, HORIZON)
        for _ in range(_rounded(false_rate * (len(right) if spec.precision else spec.resurgences), random))
    ]
    return tuple(sorted((*right, *false)))


def _rounded(number: float, random: Random) -> int:
    return int(number) + (random.random() < number % 1)
