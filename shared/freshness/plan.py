"""From a refresh to ``stale_after``: the rule of `shared.freshness.rule` with a platform's peculiarities.

Costs decide the details. X bills a post once for each UTC day, so further reads of that day are made sooner
and the next paid one comes right after midnight: https://docs.x.com/x-api/getting-started/pricing. A story
lives for 24 hours and is refreshed at fixed ages. A counter that fell is looked at again within an hour.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from shared.freshness.policy import Freshness
from shared.freshness.rule import Prior, State, interval_of, next_interval
from shared.vocabulary import Platform

STORY: Final = "STORY"
"""``media_type`` of a story."""
_STORY_AGES: Final = (1.0, 12.0, 23.0, 24.5)  # hours; the last one learns that the story has ended
_AFTER_A_FALL: Final = 1.0  # hours
_SAME_DAY: Final = 0.25  # factor of an interval that ends in a read which X does not bill
_PAID: Final = 2.0  # factor of an interval that ends in a read which X bills
_AFTER_MIDNIGHT: Final = timedelta(minutes=10)
_JITTER: Final = 0.05
_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)


class Known(NamedTuple):
    """What is known about a row when it has just been refreshed."""

    publication_id: int
    published_at: datetime
    media_type: str | None
    stored: Mapping[str, Any] | None
    """The document that the last plan left (`Plan.stored`)."""
    reads: int
    """How often clients have read the row so far."""


class Plan(NamedTuple):
    """When a row is due again, and what is stored to explain it and to plan the next refresh."""

    stale_after: datetime
    stored: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Planner:
    """The policy for the rows of one account."""

    policy: Freshness
    platform: Platform
    prior: Prior
    pressure: float = 1.0

    def plan(self, row: Known, value: float | None, now: datetime) -> Plan:
        """Return when a row that was refreshed at ``now`` is due again.

        ``value``: the leading counter, ``None`` when the platform did not report it: then nothing is learned.
        """
        if self.policy.interval is not None:
            return Plan(now + self.policy.interval, {**(row.stored or {}), "policy": self.policy.name})
        age = max((now - row.published_at) / _HOUR, 0.0)
        before = state_of(row.stored) if row.stored and "value" in row.stored else None
        reads = max(row.reads - _counted(row.stored), 0)
        prior = self.prior
        if value is None:
            # Nothing was measured: what is known stays, and the interval is that of the post's new age.
            state, measured = before or State(age, 0.0), before
            hours = interval_of(state._replace(age=max(age, state.age)), prior, self.pressure).hours
        else:
            interval = next_interval(age, value, reads, before, prior, self.pressure)
            hours, measured = interval.hours, interval.state
        hours, because = self._peculiar(row, before, value, age, hours)
        exact = because == "story"
        stale_after = now + (timedelta(hours=hours) if exact else self._jittered(hours, row.publication_id))
        if self.platform is Platform.X and because in {None, "not_measured"}:
            stale_after, because = self._paid_days(row, hours, now)
        stored = {
            "policy": self.policy.name,
            **(_document(measured) if measured else {}),
            "counted": row.reads if value is not None else _counted(row.stored),
            "half_life": prior.half_life,
            "readers": [_rounded(prior.reads_at_first), _rounded(prior.reads_at_any_age)],
            "pressure": _rounded(self.pressure),
            "hours": _rounded((stale_after - now) / _HOUR),
        }
        return Plan(stale_after, stored if because is None else {**stored, "because": because})

    def _peculiar(
        self, row: Known, before: State | None, value: float | None, age: float, hours: float
    ) -> tuple[float, str | None]:
        """Return the interval where something else than the rule decides, and what."""
        if self.platform is Platform.INSTAGRAM and row.media_type == STORY:
            wanted = next((at for at in _STORY_AGES if at > age), None)
            if wanted is not None:
                return max(wanted - age, 1 / 60), "story"
        if before is not None and value is not None and value < before.value:
            return min(hours, _AFTER_A_FALL), "fell"
        return hours, "not_measured" if value is None else None

    def _jittered(self, hours: float, row_id: int) -> timedelta:
        factor = 1 + _JITTER * (2 * part_of_row(row_id) - 1)
        return timedelta(hours=max(hours * factor, self.prior.shortest))

    def _paid_days(self, row: Known, hours: float, now: datetime) -> tuple[datetime, str]:
        """Return a read of the same UTC day, which X does not bill, or one right after a later midnight."""
        free = now + self._jittered(hours * _SAME_DAY, row.publication_id)
        if free.astimezone(UTC).date() == now.astimezone(UTC).date():
            return free, "same_day"
        paid = now + self._jittered(min(hours * _PAID, self.prior.longest), row.publication_id)
        return _midnight(paid + _DAY / 2) + _AFTER_MIDNIGHT * part_of_row(row.publication_id), "next_day"


def _midnight(instant: datetime) -> datetime:
    """Return the beginning of an instant's UTC day."""
    return instant.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def part_of_row(row_id: int) -> float:
    """Return a number from 0 to 1 that differs from row to row and stays the same for each."""
    return (row_id * 2_654_435_761 % 2**32) / 2**32


def prior_of(stored: Mapping[str, Any]) -> Prior:
    """Return what was known about the platform's posts when a document was stored."""
    prior = Prior(float(stored["half_life"]), 0.0)
    readers = stored.get("readers")
    return prior._replace(reads_at_first=readers[0], reads_at_any_age=readers[1]) if readers else prior


def state_of(stored: Mapping[str, Any]) -> State:
    """Return the state that a document holds which a measurement has left: one with a ``value``."""
    return State(*(float(stored.get(name, 0.0)) for name in State._fields))


def _counted(stored: Mapping[str, Any] | None) -> int:
    return int((stored or {}).get("counted", 0))


def _document(state: State) -> dict[str, float]:
    return {name: _rounded(number) for name, number in state._asdict().items()}


def _rounded(number: float) -> float:
    return float(f"{number:.6g}")
