"""The outcomes of a refresh (``post_analytics.outcome``) and the properties of each.

=================== ========== ======== ======== =========
kind                verdict    group    answered ends_polling
=================== ========== ======== ======== =========
synced              succeeded  good     yes
partial             succeeded  good     yes
unavailable         succeeded  good     yes
window_closed       succeeded  good     yes      yes
missing             postponed  waiting  yes
processing          postponed  waiting  yes
paused              retried    waiting
retry               retried    bad
misconfigured       retried    bad
failed              failed     bad
gone                failed     bad      yes      yes
duplicate           failed     bad      yes      yes
requires_reconnect  failed     bad               yes
quarantined         failed     bad               yes
=================== ========== ======== ======== =========
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple


class Verdict(StrEnum):
    """What an outcome means to a caller who waits for the refresh."""

    SUCCEEDED = "succeeded"
    POSTPONED = "postponed"
    """The platform answered; a later refresh decides."""
    RETRIED = "retried"
    """Nothing is decided: the refresh is retried automatically."""
    FAILED = "failed"


class OutcomeGroup(StrEnum):
    """How the operators' page classifies an outcome, by colour."""

    GOOD = "good"
    WAITING = "waiting"
    """No error and nothing to do: the refresh is repeated later."""
    BAD = "bad"
    """An error, whose cause is listed."""


class _Meaning(NamedTuple):
    verdict: Verdict
    group: OutcomeGroup
    answered: bool = False
    ends_polling: bool = False


class OutcomeKind(StrEnum):
    """How a refresh ended."""

    SYNCED = "synced"
    """Every expected metric was returned."""
    PARTIAL = "partial"
    """Some expected metric was not returned."""
    UNAVAILABLE = "unavailable"
    """The post exists, but the platform has no metrics for it."""
    WINDOW_CLOSED = "window_closed"
    """The platform's reporting window for the post has ended."""
    MISSING = "missing"
    """The platform did not know the post, for the first time."""
    PROCESSING = "processing"
    """The platform has not published the post under a public id yet."""
    PAUSED = "paused"
    """A limit, a budget or an operator's pause prevented the refresh."""
    RETRY = "retry"
    """The attempt failed for a transient reason."""
    MISCONFIGURED = "misconfigured"
    """The platform refused our application, key or API version."""
    FAILED = "failed"
    """Several attempts in a row failed; retries continue at a slower pace."""
    GONE = "gone"
    """The post was missing a second time, which confirms it."""
    DUPLICATE = "duplicate"
    """The platform published it under an id that another publication of the account has."""
    REQUIRES_RECONNECT = "requires_reconnect"
    """The account's owner must renew its authorization."""
    QUARANTINED = "quarantined"
    """In quarantine: its refresh started several times and never finished."""

    @property
    def verdict(self) -> Verdict:
        """What it means to a caller who waits for the refresh."""
        return _MEANINGS[self].verdict

    @property
    def group(self) -> OutcomeGroup:
        """How the operators' page classifies it."""
        return _MEANINGS[self].group

    @property
    def answered(self) -> bool:
        """Whether the platform answered about this publication."""
        return _MEANINGS[self].answered

    @property
    def ends_polling(self) -> bool:
        """Whether the publication is no longer refreshed automatically."""
        return _MEANINGS[self].ends_polling


def outcome_kind(value: str | None) -> OutcomeKind | None:
    """Return the kind of a stored value; ``None`` before the first attempt and for a newer version's kind."""
    return _BY_VALUE.get(value) if value is not None else None


_BY_VALUE: Final[Mapping[str, OutcomeKind]] = {kind.value: kind for kind in OutcomeKind}
_GOOD, _WAITING, _BAD = OutcomeGroup
_MEANINGS: Final[Mapping[OutcomeKind, _Meaning]] = {
    OutcomeKind.SYNCED: _Meaning(Verdict.SUCCEEDED, _GOOD, answered=True),
    OutcomeKind.PARTIAL: _Meaning(Verdict.SUCCEEDED, _GOOD, answered=True),
    OutcomeKind.UNAVAILABLE: _Meaning(Verdict.SUCCEEDED, _GOOD, answered=True),
    OutcomeKind.WINDOW_CLOSED: _Meaning(Verdict.SUCCEEDED, _GOOD, answered=True, ends_polling=True),
    OutcomeKind.MISSING: _Meaning(Verdict.POSTPONED, _WAITING, answered=True),
    OutcomeKind.PROCESSING: _Meaning(Verdict.POSTPONED, _WAITING, answered=True),
    OutcomeKind.PAUSED: _Meaning(Verdict.RETRIED, _WAITING),
    OutcomeKind.RETRY: _Meaning(Verdict.RETRIED, _BAD),
    OutcomeKind.MISCONFIGURED: _Meaning(Verdict.RETRIED, _BAD),
    OutcomeKind.FAILED: _Meaning(Verdict.FAILED, _BAD),
    OutcomeKind.GONE: _Meaning(Verdict.FAILED, _BAD, answered=True, ends_polling=True),
    OutcomeKind.DUPLICATE: _Meaning(Verdict.FAILED, _BAD, answered=True, ends_polling=True),
    OutcomeKind.REQUIRES_RECONNECT: _Meaning(Verdict.FAILED, _BAD, ends_polling=True),
    OutcomeKind.QUARANTINED: _Meaning(Verdict.FAILED, _BAD, ends_polling=True),
}
