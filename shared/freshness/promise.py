"""What a row promises: the error that a reader probably sees, and whether it is at most 5 %.

The rule predicts an error for each row and instant. How often such a prediction means "at most 5 %" is
calibrated by an installation's own refreshes, separately by platform, age and predicted error: each refresh
reveals the number that readers should have seen since the one before. The reads of that time are judged, not
the refresh: an interval ends when its error is largest, and its readers mostly come before. The numbers in
between are taken to grow as a typical post does, and are rounded to whole counts.

The method is split conformal prediction's (Vovk et al., 2005): the residuals of past predictions, by class,
show how far the next one may be wrong, whatever the model behind it is worth. Starting values were learned in
simulated worlds (`make bench-freshness`).
"""

from bisect import bisect
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from shared.freshness.plan import prior_of, state_of
from shared.freshness.rule import NOTICEABLE, SMALL, Prior, State, expected_error, grown_part, read_ages

EDGES: Final = (0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5)
"""Where one class of predicted errors ends and the next begins."""
_SIMULATED: Final = (0.99, 0.98, 0.98, 0.97, 0.97, 0.96, 0.87, 0.47, 0.27, 0.2, 0.2, 0.18, 0.16, 0.15, 0.2)
"""Part of the reads within 5 % for each, in the worlds that the rule was tuned on and others."""
_SIMULATED_WEIGHT: Final = 15.0  # reads for which the simulation counts, in each class
AGES: Final = (24.0, 168.0)
"""Hours at which one class of ages ends and the next begins."""
_OF_AGE: Final = 100
"""Added to the place of an error for each class of ages; numbers below it are of an earlier version."""
_POINTS: Final = 6  # instants of an interval at which its reads are judged
_UNREAD: Final = 0.05  # reads for which an interval without any counts
_HOUR: Final = timedelta(hours=1)


class Observed(NamedTuple):
    """Reads whose error was predicted in one class, and those of them that were within 5 %."""

    reads: float
    within: float


Shares = Mapping[int, Observed]
"""What a platform's refreshes have shown, by class."""


def error_class(expected: float, age: float) -> int:
    """Return the class of an expected error of a post of this age, in hours: what calibrates them alike."""
    return _OF_AGE * (1 + bisect(AGES, age)) + bisect(EDGES, expected)


def share_within(expected: float, age: float, shares: Shares) -> float:
    """Return the probability that a read with this expected error is within 5 % of the platform's number."""
    observed = shares.get(error_class(expected, age), Observed(0, 0))
    within = _SIMULATED_WEIGHT * _SIMULATED[bisect(EDGES, expected)] + observed.within
    return within / (_SIMULATED_WEIGHT + observed.reads)


def promised(
    stored: Mapping[str, Any] | None, published_at: datetime, now: datetime, shares: Shares
) -> tuple[float, float] | None:
    """Return the error that a reader is expected to see, and the probability that it is at most 5 %.

    ``stored``: what the row's last plan left. ``None`` when the row was never measured.
    """
    if not stored or "value" not in stored or "half_life" not in stored:
        return None
    age = (now - published_at) / _HOUR
    state, prior = _known(stored)
    expected = expected_error(state, prior, max(age - state.age, 0.0))
    return expected, share_within(expected, age, shares)


def judged(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> Iterator[tuple[int, float, float]]:
    """Yield classes of predictions, the reads that were predicted in each, and how many were within 5 %.

    ``before`` and ``after`` are what was stored by two plans; nothing unless both rest on measurements.
    """
    if not before or not after or "value" not in before or "half_life" not in before:
        return
    if after.get("value") is None or after["age"] <= before["age"]:
        return
    state, prior = _known(before)
    reads = max(after.get("counted", 0) - before.get("counted", 0), 0)
    yield from judge(state, prior, float(after["age"]), float(after["value"]), reads)


def judge(
    state: State, prior: Prior, age: float, value: float, reads: float
) -> Iterator[tuple[int, float, float]]:
    """Yield the same for a refresh at an ``age`` that brought ``value``, after so many ``reads``.

    ``state``: what the refresh before left.
    """
    each = (reads + _UNREAD) / _POINTS
    for point in read_ages(state.age, age, _POINTS):
        true = int(state.value + (value - state.value) * grown_part(state.age, point, age, prior) + 0.5)
        expected = expected_error(state, prior, point - state.age)
        within = abs(true - state.value) / (true + SMALL) <= NOTICEABLE
        yield error_class(expected, point), each, each * within


def _known(stored: Mapping[str, Any]) -> tuple[State, Prior]:
    return state_of(stored), prior_of(stored)
