"""Explains one row's ``stale_after`` in a sentence, from the numbers that were stored with it."""

from collections.abc import Mapping
from math import inf
from typing import Any, Final

from shared.freshness.plan import prior_of, state_of
from shared.freshness.policy import Freshness
from shared.freshness.rule import NOTICEABLE, interval_of

_BECAUSE: Final = {
    "fell": "the number fell, so the row is refreshed again within an hour",
    "story": "a story is refreshed when it is 1, 12 and 23 hours old, and once more after its end",
    "same_day": "X does not bill another read on the same UTC day, so it follows sooner",
    "next_day": "X bills the next read, so it lies in the first minutes of a UTC day",
    "not_measured": "the last refresh brought no number to measure by",
}
"""What decided besides the rule, as part of a sentence (``Plan.stored["because"]``)."""
_JITTERED: Final = 0.06  # part of an interval by which jitter and rounding change it at most


def explain(stored: Mapping[str, Any] | None, policy: Freshness) -> str:
    """Return why the row is due again when it is; ``policy`` is in force now, ``None`` was never planned."""
    if not stored or stored["policy"] != policy.name:
        return policy.explain()
    return explain_stored(stored)


def explain_stored(stored: Mapping[str, Any]) -> str:
    """Return why a row was due again when it was, under the policy of that time."""
    policy = Freshness.parse(stored["policy"])
    if policy.interval is not None:
        return policy.explain()
    hours = f"{_time(stored['hours'])} after the refresh"
    because = stored.get("because")
    if because in {"fell", "story"} or "value" not in stored:
        return f"{_BECAUSE[because]}: {hours}" if because else policy.explain()
    unbounded = prior_of(stored)._replace(longest=inf)
    interval = interval_of(state_of(stored), unbounded, stored["pressure"])
    decided = _BECAUSE[because] if because else _bound(stored["hours"], interval.hours)
    rule = (
        f"the number moves by 5 % in {_time(NOTICEABLE / interval.growth)} and a client reads it every"
        f" {_time(1 / interval.read_rate)}, at a quota pressure of {stored['pressure']:.3g}"
    )
    return f"{rule}; {decided}: {hours}" if decided else f"{rule}: {hours}"


def _bound(planned: float, by_rule: float) -> str | None:
    """Return which bound decided where the planned hours are further from the rule's than jitter brings."""
    if planned > by_rule * (1 + _JITTERED):
        return "no interval of the platform is shorter"
    return "no interval of the platform is longer" if planned < by_rule * (1 - _JITTERED) else None


def _time(hours: float) -> str:
    for unit, size in (("s", 1 / 3600), ("min", 1 / 60), ("h", 1.0)):
        if hours / size < 100:
            return f"{hours / size:.2g} {unit}"
    return f"{hours / 24:.3g} d"
