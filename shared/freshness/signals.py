"""Signals that the rule weighs: a report that a post has moved is right with some probability.

A platform's push, a client's read and the growth of a sibling (the same post on another platform) never
command a refresh. Each kind has a precision: the part of its signals after which a post really grows again.
The rule weighs it against the row's own numbers (`shared.freshness.rule.hours_after_signal`).
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, TypeGuard

from shared.freshness.plan import prior_of, state_of
from shared.freshness.policy import ADAPTIVE
from shared.freshness.rule import Prior, growth_ratio, hours_after_signal

_SETTING: Final = re.compile(r"(\w+)=(0(?:\.\d+)?|1(?:\.0+)?)")
_HOUR: Final = timedelta(hours=1)
_GROWN: Final = 3.0
"""Times the expected growth between two refreshes from which a post is taken to grow again."""
_LEAST_GROWTH: Final = 0.1
"""Part of its number by which a post has at least grown then."""


class SignalSource(StrEnum):
    """Where a signal comes from."""

    PUSH = "push"
    """The platform reports activity of a post."""
    READ = "read"
    """A client has read the row. Its reads are counted as well."""
    SIBLING = "sibling"
    """The same post grows again on another platform."""


PRECISIONS: Final[Mapping[SignalSource, float]] = {
    SignalSource.PUSH: 0.5,
    SignalSource.READ: 0.0,
    SignalSource.SIBLING: 0.2,
}
"""Careful assumptions: too high a precision spends calls, and one of 0 changes nothing."""


@lru_cache(maxsize=8)
def parse_precisions(text: str) -> Mapping[SignalSource, float]:
    """Return the precision of each kind, with overrides like ``push=0.7,read=0.05``.

    Raises `ValueError` with a sentence on what is allowed.
    """
    precisions = dict(PRECISIONS)
    for part in filter(None, (part.strip() for part in text.split(","))):
        setting = _SETTING.fullmatch(part)
        if not setting or setting[1] not in set(SignalSource):
            kinds = ", ".join(SignalSource)
            raise ValueError(f"must look like push=0.7,read=0.05 (from 0 to 1; kinds: {kinds})")
        precisions[SignalSource(setting[1])] = float(setting[2])
    return precisions


def is_planned(stored: Mapping[str, Any] | None) -> TypeGuard[Mapping[str, Any]]:
    """Return whether the adaptive rule has planned a row by a measurement, so that it can weigh a signal."""
    return bool(stored and "value" in stored and stored.get("policy") == ADAPTIVE)


def due_by(
    stored: Mapping[str, Any], published_at: datetime, now: datetime, precision: float, bounds: Prior
) -> datetime:
    """Return when a row is due at the latest after a signal of ``now``.

    ``stored``: what the row's last plan left (`is_planned`). ``bounds``: the platform's shortest and longest
    interval.
    """
    prior = prior_of(stored)._replace(shortest=bounds.shortest, longest=bounds.longest)
    age = (now - published_at) / _HOUR
    hours = hours_after_signal(age, state_of(stored), prior, precision, float(stored["pressure"]))
    return now + timedelta(hours=hours)


def grows_again(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> bool:
    """Return whether a refresh shows that its post grows far more than was expected.

    ``before`` and ``after`` are what was stored by two plans.
    """
    if not is_planned(before) or not is_planned(after):
        return False
    first, then = state_of(before), state_of(after)
    growth = then.value - first.value
    expected = (then.expected - first.expected / 2) * growth_ratio(first)
    return growth > _LEAST_GROWTH * then.value and growth > _GROWN * expected
