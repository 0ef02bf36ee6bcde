"""The rule of the adaptive policy: how long after a refresh a row is due again, in plain numbers.

An interval of length D costs ``rho * g * D / 2`` (error that readers see in an hour) and ``price / D``
(calls in an hour). The sum is least at a geometric mean, ``P * sqrt(T_growth * T_read)``: the hours until
the number moves by 5 %, the mean hours between two reads of the row, and one factor for the scarcity of
calls. The rule is pure: it has no clock, no database and no random numbers, so it can be judged in any
world.

Sources: Olston and Pandey, WWW 2008 (refresh where the benefit passes one threshold for all pages); Azar et
al., PNAS 2018, and Kolobov et al., NeurIPS 2019 (square-root law with one multiplier for the bandwidth);
Cho and Garcia-Molina, TODS 2003 (change rates from refreshes at uneven distances).
"""

import math
from math import expm1, log1p, sqrt
from typing import Final, NamedTuple

NOTICEABLE: Final = 0.05
"""A number that has moved by this part of itself is out of date for its readers."""
SMALL: Final = 20.0
"""Counts added to a number before an error is divided by it: the step from 1 to 2 is not an error of half."""

OFFSET: Final = 1 / 6
"""Hours added to an age: the growth of a post of age 0 would be infinite."""

_FLOOR: Final = 3e-5  # growth an hour that any post may show, however old it is
_GROWTH_PRIOR: Final = 4.0  # counts that speak for typical growth before any is observed
_READS_PRIOR: Final = 1.0  # reads that speak for typical readers before any is counted
_READS_KEPT: Final = 0.85  # part of the reads known before that stands after a refresh
_READS_SLOW: Final = 2.0  # hours after which the readers of a new post begin to decrease
_READS_DECAY: Final = 1.2  # exponent of that decrease
_RENEWED: Final = 0.5  # size of a post's new growth, as a part of what it had
_RENEWED_READS: Final = 1.0  # reads an hour of a post that grows again
_NEVER: Final = 1e-3  # rates that fall so fast that a steady interval is never over
_EXPONENTIAL: Final = 1e-6  # a distance from 1 below which the power is an exponential function
_LARGEST: Final = 30.0  # exponent beyond which every interval is the longest one


class Prior(NamedTuple):
    """What is known about the posts of a platform (or account) in advance, in hours."""

    half_life: float
    """A typical post reaches half of its total in this time."""
    shortest: float
    """No interval is shorter, unless the platform's counters fell."""
    longest: float = 720.0
    """No interval is longer: 30 days."""
    reads_at_first: float = 4.0
    """Reads an hour of a new row; they decrease with the age."""
    reads_at_any_age: float = 0.003
    """Reads an hour that go on however old the post is."""


class State(NamedTuple):
    """What the rule remembers about one row between two refreshes."""

    age: float
    """Of the post at the last refresh that measured it, in hours."""
    value: float
    """What the platform reported then: views, impressions."""
    observed: float = 0.0
    """A: growth in counts; what was known before is halved at each refresh."""
    expected: float = 0.0
    """B: the growth that a typical post of this size would have shown at the same times."""
    reads: float = 0.0
    """Reads by clients; of those known before, 85 % are kept at each refresh, because they come slowly."""
    expected_reads: float = 0.0
    """The reads that a typical row would have had."""


class Interval(NamedTuple):
    """When a row is due again, and the two rates that say why."""

    hours: float
    """From the refresh until the row is due again."""
    growth: float
    """Expected growth an hour, as a part of the number that readers see; T_growth is `NOTICEABLE` /
    growth."""
    read_rate: float
    """Expected reads an hour; T_read is 1 / read_rate."""
    state: State
    """What to pass at the next refresh."""


def next_interval(
    age: float, value: float, reads: float, before: State | None, prior: Prior, pressure: float = 1.0
) -> Interval:
    """Return when a row that has just been refreshed is due again.

    ``age``: hours since the post's publication. ``value``: the leading counter that the platform reported.
    ``reads``: how often clients have read the row since the refresh before (any float: it may be an
    estimate). ``before``: the state that the last measurement left, ``None`` at the first one; a value
    below the last one counts as no growth. ``pressure``: scarcity of calls, 1 as designed, above 1 scarcer.
    Never raises for finite numbers of which none is negative.
    """
    state = State(age, value)
    if before is not None:
        part, part_before = _part(age, prior.half_life), _part(before.age, prior.half_life)
        typical = (before.value + value) / (part_before + part) * max(0.0, part - part_before)
        usual_reads = max(0.0, typical_reads(age, prior) - typical_reads(before.age, prior))
        state = State(
            age,
            value,
            before.observed / 2 + max(0.0, value - before.value),
            before.expected / 2 + typical,
            before.reads * _READS_KEPT + reads,
            before.expected_reads * _READS_KEPT + usual_reads,
        )
    return interval_of(state, prior, pressure)


def interval_of(state: State, prior: Prior, pressure: float = 1.0) -> Interval:
    """Return when a row in this state is due again; ``state.age`` is the age at which the interval begins."""
    growth, read_rate = growth_of(state, prior), read_rate_of(state, prior)
    steady = pressure * sqrt(NOTICEABLE / (growth * read_rate))
    age = state.age + OFFSET
    decreasing = _decreasing_reads(state.age, prior)
    fewer_reads = decreasing / (decreasing + prior.reads_at_any_age) * state.age / (state.age + _READS_SLOW)
    slowing = (fewer_reads + 1 + age / (age + prior.half_life)) / 2
    hours = _stretched(steady, age, slowing, prior.longest)
    return Interval(min(max(hours, prior.shortest), prior.longest), growth, read_rate, state)


def hours_after_signal(
    age: float, state: State, prior: Prior, precision: float, pressure: float = 1.0
) -> float:
    """Return after how many hours a row is due at the latest when something reports activity of its post.

    A signal (a platform's push, a growing sibling) at this ``age`` is an observation, not a command: with
    the probability ``precision`` the post has begun to grow again, as a new post of half its size would.
    Precision 0 changes nothing: what is returned is then the interval that the row's own numbers give.
    """
    aged = state._replace(age=max(age, state.age))
    renewed = (
        precision * _RENEWED / (OFFSET + prior.half_life) * (state.value + SMALL) / (state.value + 2 * SMALL)
    )
    growth = growth_of(aged, prior) + renewed
    read_rate = read_rate_of(aged, prior) + precision * _RENEWED_READS
    steady = pressure * sqrt(NOTICEABLE / (growth * read_rate))
    return min(max(steady, prior.shortest), prior.longest)


def expected_error(state: State, prior: Prior, hours: float) -> float:
    """Return the error that a reader is expected to see so many hours after the refresh, from 0 to 1.

    An error is ``|true - served| / (true + 20)``.
    """
    ratio = growth_ratio(state)
    grown = _part(state.age + hours, prior.half_life) / _part(state.age, prior.half_life) - 1
    change = (ratio * grown + _FLOOR * hours) * (state.value + SMALL) / (state.value + 2 * SMALL)
    return change / (1 + change)


def growth_of(state: State, prior: Prior) -> float:
    """Return the expected growth an hour right after the refresh, as a part of the number that readers see.

    A typical post grows like ``age / (age + half_life)``; this row, ``(4 + A) / (4 + B)`` times as fast.
    """
    age = state.age + OFFSET
    ratio = growth_ratio(state)
    # A number of 0 says that nothing is known about the post's size yet, not that it stays 0.
    weight = (state.value + SMALL) / (state.value + 2 * SMALL)
    return (ratio * prior.half_life / (age * (age + prior.half_life)) + _FLOOR) * weight


def growth_ratio(state: State) -> float:
    """Return how many times as fast as a typical post this one grows."""
    return (_GROWTH_PRIOR + state.observed) / (_GROWTH_PRIOR + state.expected)


def read_rate_of(state: State, prior: Prior) -> float:
    """Return the expected reads an hour right after the refresh."""
    ratio = (_READS_PRIOR + state.reads) / (_READS_PRIOR + state.expected_reads)
    return (_decreasing_reads(state.age, prior) + prior.reads_at_any_age) * ratio


def typical_reads(age: float, prior: Prior) -> float:
    """Return the reads that a typical row has had up to an age."""
    return prior.reads_at_first * decreasing_hours(age) + prior.reads_at_any_age * age


def decreasing_hours(age: float) -> float:
    """Return how many hours of a new post's reads a post has had up to an age: at most ten."""
    power = 1 - _READS_DECAY
    return _READS_SLOW / power * (math.pow(1 + age / _READS_SLOW, power) - 1)


def _decreasing_reads(age: float, prior: Prior) -> float:
    return prior.reads_at_first * math.pow(1 + age / _READS_SLOW, -_READS_DECAY)


def grown_part(age_before: float, age: float, age_after: float, prior: Prior) -> float:
    """Return the part of the growth between two ages that a typical post shows up to one in between."""
    first = _part(age_before, prior.half_life)
    return (_part(age, prior.half_life) - first) / (_part(age_after, prior.half_life) - first)


def read_ages(age_before: float, age_after: float, number: int) -> list[float]:
    """Return so many ages between two others at which a row is read, each standing for equally many reads.

    Reads decrease with the age, as those of a new post; those that go on at any age do not change the order.
    """
    first, last = decreasing_hours(age_before), decreasing_hours(age_after)
    power = 1 - _READS_DECAY
    ages = []
    for place in range(number):
        hours = first + (last - first) * (place + 0.5) / number
        ages.append(_READS_SLOW * (math.pow(1 + hours * power / _READS_SLOW, 1 / power) - 1))
    return ages


def _part(age: float, half_life: float) -> float:
    """Return the part of its total that a typical post has at this age."""
    return (age + OFFSET) / (age + OFFSET + half_life)


def _stretched(steady: float, age: float, slowing: float, longest: float) -> float:
    """Return the interval for rates that fall with age to the power of twice ``slowing``.

    The steady interval would grow on the way; the one returned spans as much of it as one refresh should.
    """
    reached = (1 - slowing) * steady / age
    if reached <= _NEVER - 1:
        return longest
    exponent = log1p(reached) / (1 - slowing) if abs(1 - slowing) > _EXPONENTIAL else steady / age
    return min(age * expm1(min(exponent, _LARGEST)), longest)
