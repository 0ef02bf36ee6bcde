"""The limits: how long which data of which platform is kept, parsed from ``DRAVO_RETENTION``.

Decision 0021 says which term of which platform each default follows.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from shared.vocabulary import Platform


class DataClass(StrEnum):
    """Kinds of data with a limit of their own."""

    READINGS = "readings"
    """Every reading (``snapshots``), from its last confirmation."""
    DAILY = "daily"
    """The last reading of each UTC day, and the last one of a post that is not read any more."""
    GONE = "gone"
    """Text and counters of a post that is gone, from the confirmation."""
    DISCONNECTED = "disconnected"
    """Everything of a disconnected account, from the disconnection; its tokens go at once."""
    EVENTS = "events"
    """Ids of processed events."""
    AUDIT = "audit"
    """The audit log of operators."""


class Group(StrEnum):
    """Accounts with limits of their own: a platform, and at LinkedIn the kind of account as well."""

    INSTAGRAM = "instagram"
    FACEBOOK = "facebook"
    X = "x"
    TIKTOK = "tiktok"
    LINKEDIN = "linkedin"
    """Organization pages."""
    LINKEDIN_MEMBER = "linkedin_member"

    @property
    def platform(self) -> Platform:
        """The platform of its accounts."""
        return Platform.LINKEDIN if self is Group.LINKEDIN_MEMBER else Platform(self.value)


Limit = timedelta | None
"""``None``: kept without end."""

DAY: Final = timedelta(days=1)
OF_ACCOUNTS: Final = (DataClass.READINGS, DataClass.DAILY, DataClass.GONE, DataClass.DISCONNECTED)
"""Classes with a limit for each group; the others have one limit."""

_DEFAULTS: Final[Mapping[DataClass, Limit]] = {
    DataClass.READINGS: 90 * DAY,
    DataClass.DAILY: 395 * DAY,
    DataClass.GONE: None,
    DataClass.DISCONNECTED: 30 * DAY,
    DataClass.EVENTS: 30 * DAY,
    DataClass.AUDIT: 400 * DAY,
}
BOUNDS: Final[Mapping[tuple[Group, DataClass], timedelta]] = {
    (Group.LINKEDIN, DataClass.READINGS): 365 * DAY,
    (Group.LINKEDIN, DataClass.DAILY): 365 * DAY,
    (Group.LINKEDIN, DataClass.DISCONNECTED): timedelta(),
    (Group.LINKEDIN_MEMBER, DataClass.READINGS): 2 * DAY,
    (Group.LINKEDIN_MEMBER, DataClass.DAILY): timedelta(),
    (Group.LINKEDIN_MEMBER, DataClass.DISCONNECTED): timedelta(),
    (Group.X, DataClass.GONE): 1 * DAY,
}
"""What a platform's terms allow at most. A longer limit needs the word `BEYOND_TERMS`."""
_SHORTER: Final[Mapping[tuple[Group, DataClass], timedelta]] = {(Group.X, DataClass.GONE): timedelta()}
"""Defaults below the bound: an hourly run must end within it."""

BEYOND_TERMS: Final = "beyond-terms"
"""Acknowledges that limits longer than a platform's terms are the operator's own decision."""
_LIMIT: Final = re.compile(r"(?:(\w+):)?(\w+)=(?:(\d{1,5})([hd])|(0|forever))")


@dataclass(frozen=True, slots=True)
class Retention:
    """All limits, and whether anything is removed at all."""

    enabled: bool
    limits: Mapping[tuple[Group | None, DataClass], Limit]

    @classmethod
    def parse(cls, setting: str) -> "Retention":
        """Return the limits of a setting like ``on,readings=60d,tiktok:daily=200d``.

        Empty or ``off``: nothing is removed; the limits are those that ``on`` would apply. Raises
        `ValueError` with a sentence on what is allowed.
        """
        words = [word.strip() for word in setting.split(",") if word.strip()] or ["off"]
        if words[0] not in {"on", "off"}:
            raise ValueError("must begin with on or off, like on,readings=60d,tiktok:daily=200d")
        limits = _defaults()
        for word in words[1:]:
            if word != BEYOND_TERMS:
                _apply(word, limits)
        beyond = sorted(
            f"{group}:{kind}"
            for (group, kind), bound in BOUNDS.items()
            if (limit := limits[group, kind]) is None or limit > bound
        )
        if beyond and BEYOND_TERMS not in words:
            raise ValueError(
                f"{', '.join(beyond)} would be kept longer than the platform's terms allow:"
                f" add {BEYOND_TERMS} if your agreement with the platform permits it"
            )
        return cls(words[0] == "on", limits)

    def of(self, kind: DataClass, group: Group | None = None) -> Limit:
        """Return a limit."""
        return self.limits[group, kind]

    def longest(self, kind: DataClass) -> Limit:
        """Return the limit of the group that keeps this class longest: a whole month goes after it."""
        limits = [self.limits[group, kind] for group in Group]
        return None if None in limits else max(limit for limit in limits if limit is not None)

    def shorter(self, kind: DataClass) -> dict[Group, timedelta]:
        """Return the groups whose rows go before their month does, with their limits."""
        longest = self.longest(kind)
        limits = {group: self.limits[group, kind] for group in Group}
        return {
            group: limit
            for group, limit in limits.items()
            if limit is not None and (longest is None or limit < longest)
        }


def _defaults() -> dict[tuple[Group | None, DataClass], Limit]:
    limits: dict[tuple[Group | None, DataClass], Limit] = {}
    for kind, default in _DEFAULTS.items():
        if kind not in OF_ACCOUNTS:
            limits[None, kind] = default
            continue
        for group in Group:
            bound = _SHORTER.get((group, kind), BOUNDS.get((group, kind)))
            limits[group, kind] = default if bound is None or (default or 2 * bound) < bound else bound
    return limits


def _apply(word: str, limits: dict[tuple[Group | None, DataClass], Limit]) -> None:
    match = _LIMIT.fullmatch(word)
    if not match or match[2] not in set(DataClass) or (match[1] and match[1] not in set(Group)):
        raise ValueError(
            f"holds no limit in {word[:40]!r}: write class=90d or group:class=48h with a class of"
            f" {', '.join(DataClass)} and a group of {', '.join(Group)}"
        )
    kind = DataClass(match[2])
    if match[1] and kind not in OF_ACCOUNTS:
        raise ValueError(f"{kind} has one limit for all platforms")
    if match[5]:
        limit = None if match[5] == "forever" else timedelta()
    else:
        limit = timedelta(**{"hours" if match[4] == "h" else "days": int(match[3])})
    groups: list[Group | None] = [None]
    if kind in OF_ACCOUNTS:
        groups = [Group(match[1])] if match[1] else list(Group)
    for group in groups:
        bound = BOUNDS.get((group, kind)) if group is not None else None
        if match[1] or bound is None or (limit is not None and limit <= bound):
            limits[group, kind] = limit
