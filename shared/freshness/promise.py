"""What a row promises: the error that a reader probably sees, and whether it is at most 5 %.

The rule predicts an error for each row and instant. How often such a prediction means "at most 5 %" was first
learned in simulated worlds (`make bench-freshness`) and is corrected by an installation's own refreshes: each
one reveals how far the served number was from the new one.
"""

from bisect import bisect
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from shared.freshness.rule import NOTICEABLE, SMALL, Prior, State, expected_error

EDGES: Final = (0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5)
"""Where one bin of predicted errors ends and the next begins."""
_SIMULATED: Final = (0.99, 0.98, 0.98, 0.97, 0.97, 0.96, 0.87, 0.47, 0.27, 0.2, 0.2, 0.18, 0.16, 0.15, 0.2)
"""Part of the reads within 5 % for each bin, in the worlds that the rule was tuned on and others."""
_SIMULATED_WEIGHT: Final = 50.0  # refreshes for which the simulation counts
_HOUR: Final = timedelta(hours=1)


class Observed(NamedTuple):
    """Refreshes whose error was predicted in one bin, and those of them that showed at most 5 %."""

    refreshes: float
    within: float


Shares = Mapping[int, Observed]
"""What a platform's refreshes have shown, by bin."""


def error_bin(expected: float) -> int:
    """Return the bin of an expected error."""
    return bisect(EDGES, expected)


def share_within(expected: float, shares: Shares) -> float:
    """Return the probability that a read with this expected error is within 5 % of the truth."""
    place = error_bin(expected)
    observed = shares.get(place, Observed(0, 0))
    within = _SIMULATED_WEIGHT * _SIMULATED[place] + observed.within
    return within / (_SIMULATED_WEIGHT + observed.refreshes)


def expected_at(stored: Mapping[str, Any] | None, published_at: datetime, now: datetime) -> float | None:
    """Return the error that a reader of a row is expected to see; ``None`` when it was never measured."""
    if not stored or "value" not in stored or "half_life" not in stored:
        return None
    age = (now - published_at) / _HOUR
    return _expected(stored, age)


def judged(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> tuple[int, bool] | None:
    """Return the bin of the error that was predicted for a refresh, and whether it was at most 5 %.

    ``before`` and ``after`` are what was stored by two plans; ``None`` unless both rest on measurements.
    """
    if not before or not after or "value" not in before or "half_life" not in before:
        return None
    if after.get("value") is None or after["age"] <= before["age"]:
        return None
    error = abs(after["value"] - before["value"]) / (after["value"] + SMALL)
    return error_bin(_expected(before, after["age"])), error <= NOTICEABLE


def _expected(stored: Mapping[str, Any], age: float) -> float:
    state = State(*(float(stored.get(name, 0.0)) for name in State._fields))
    return expected_error(state, Prior(float(stored["half_life"]), 0.0), max(age - state.age, 0.0))
